// SPDX-License-Identifier: Apache-2.0
#include "niah_samples.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::size_t most = 20;      ///< answers shown of a kind
constexpr std::size_t longest = 600;  ///< bytes of each

/// Samples whose verdict changed between two checkpoints, with both answers.
void add_flips(report::Document& document,
               const NiahFindings& findings,
               const std::string& first,
               const std::string& second) {
    std::unordered_map<std::string, const NiahResult*> firsts;
    for (const NiahResult& result : findings.results) {
        if (result.checkpoint == first) {
            firsts.emplace(result.id, &result);
        }
    }
    std::size_t flipped = 0;
    std::vector<report::Details> shown;
    for (const NiahResult& after : findings.results) {
        const auto found = after.checkpoint == second ? firsts.find(after.id) : firsts.end();
        if (found == firsts.end() ||
            (found->second->verdict.score == 1.0) == (after.verdict.score == 1.0)) {
            continue;
        }
        ++flipped;
        const NiahResult& before = *found->second;
        if (shown.size() < most) {
            shown.push_back(
                {.summary = format(
                     "{}: {} by {}", after.id, after.verdict.score == 1.0 ? "won" : "lost", second),
                 .texts = {format("… {}", after.question),
                           format("asked for: {}", after.references),
                           format("{}: {}", first, before.text.substr(0, longest)),
                           format("{}: {}", second, after.text.substr(0, longest))}});
        }
    }
    if (flipped == 0) {
        return;
    }
    document.blocks.emplace_back(report::Heading{
        .level = 3,
        .text = format("{} to {}: {} samples flipped{}",
                       first,
                       second,
                       flipped,
                       flipped > most ? format(", the first {} here", most) : std::string())});
    for (report::Details& details : shown) {
        document.blocks.emplace_back(std::move(details));
    }
}

/// Wrong answers of a checkpoint that no other can be held against.
void add_wrong_answers(report::Document& document, const NiahFindings& findings) {
    std::size_t wrong = 0;
    std::vector<report::Details> shown;
    for (const NiahResult& result : findings.results) {
        if (result.verdict.score == 1.0) {
            continue;
        }
        ++wrong;
        if (shown.size() < most) {
            shown.push_back({.summary = format("{} by {}", result.id, result.checkpoint),
                             .texts = {format("… {}", result.question),
                                       format("asked for: {}", result.references),
                                       result.text.substr(0, longest)}});
        }
    }
    if (wrong == 0) {
        return;
    }
    document.blocks.emplace_back(report::Heading{
        .level = 2,
        .text = format("{} wrong answers{}",
                       wrong,
                       wrong > most ? format(", the first {} here", most) : std::string())});
    for (report::Details& details : shown) {
        document.blocks.emplace_back(std::move(details));
    }
}

}  // namespace

void add_samples(report::Document& document, const NiahFindings& findings) {
    const CheckpointRoles& roles = findings.roles;
    if (roles.pre.empty() || roles.post.empty()) {
        add_wrong_answers(document, findings);
        return;
    }
    document.blocks.emplace_back(
        report::Heading{.level = 2, .text = "Samples that changed their verdict"});
    add_flips(document, findings, roles.pre, roles.post);
    for (const std::string& repaired : roles.repaired) {
        add_flips(document, findings, roles.post, repaired);
    }
}

}  // namespace anamnesis::eval
