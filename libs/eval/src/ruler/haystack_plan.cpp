// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/haystack_plan.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {
namespace {

/// Errors: `usage` for a task under any of its names, or a length, that is named twice: its
/// questions would be asked twice under one id.
void refuse_repeated(const HaystackPlan& plan) {
    std::set<std::string_view> tasks;
    for (const std::string& task : plan.tasks) {
        if (!tasks.insert(niah_task(task).name).second) {
            throw Error(ErrorKind::usage,
                        format("--tasks names {} twice; name each task once", in_quotes(task)));
        }
    }
    std::set<std::size_t> lengths;
    for (const std::size_t length : plan.lengths) {
        if (!lengths.insert(length).second) {
            throw Error(ErrorKind::usage,
                        format("--lengths names {} twice; name each length once", length));
        }
    }
}

/// Errors: `usage`, naming the options.
void refuse_what_prompts_bring(const HaystackPlan& plan) {
    const HaystackPlan rule;
    std::vector<std::string> idle;
    for (const auto& [option, is_given] :
         {std::pair("--tasks", !plan.tasks.empty()),
          std::pair("--lengths", !plan.lengths.empty()),
          std::pair("--samples", plan.samples != rule.samples),
          std::pair("--seed", plan.seed != rule.seed),
          std::pair("--essays", !plan.essays.empty()),
          std::pair("--template", plan.wrapper != rule.wrapper),
          std::pair("--sane-wording", plan.singular != rule.singular),
          std::pair("--remove-newline-tab", plan.removes_newlines),
          std::pair("--tokens-to-generate", plan.tokens_to_generate != rule.tokens_to_generate),
          std::pair("--depths", plan.depths != rule.depths)}) {
        if (is_given) {
            idle.emplace_back(option);
        }
    }
    if (!idle.empty()) {
        throw Error(
            ErrorKind::usage,
            format("--prompts brings its own prompts, which are all asked as they are; leave "
                   "out {}",
                   join(idle, " and ")));
    }
}

}  // namespace

HaystackPlan complete_haystack_plan(HaystackPlan plan, bool has_prompts) {
    if (has_prompts) {
        refuse_what_prompts_bring(plan);
        return plan;
    }
    if (plan.tasks.empty()) {
        plan.tasks = {"s1", "s2", "s3"};
    }
    if (plan.lengths.empty()) {
        throw Error(ErrorKind::usage, "there are no --lengths; give 4k,8k or 4k..256k");
    }
    return plan;
}

std::vector<NiahSettings> make_generators(const HaystackPlan& plan) {
    refuse_repeated(plan);
    std::vector<std::optional<std::uint32_t>> depths(1);
    if (plan.depths > 0) {
        depths.clear();
        for (std::uint32_t i = 0; i < plan.depths; ++i) {
            depths.emplace_back(
                static_cast<std::uint32_t>(std::lround(100.0 * i / (plan.depths - 1))));
        }
    }
    const bool is_own = plan.wrapper.find("{task_template}") != std::string::npos;
    const std::string wrapper = is_own ? plan.wrapper : std::string(ruler_wrapper(plan.wrapper));
    std::vector<NiahSettings> generators;
    for (const std::size_t length : plan.lengths) {
        for (const std::string& task : plan.tasks) {
            for (const auto& depth : depths) {
                generators.push_back({.task = niah_task(task),
                                      .length = length,
                                      .seed = plan.seed,
                                      .wrapper = wrapper,
                                      .singular = plan.singular,
                                      .tokens_to_generate = plan.tokens_to_generate,
                                      .removes_newlines = plan.removes_newlines,
                                      .depth = depth});
            }
        }
    }
    return generators;
}

NiahMaterials make_materials(const HaystackPlan& plan, const language::Tokenizer& tokenizer) {
    const TokenCounter counter{
        .count = [&tokenizer](std::string_view text) { return tokenizer.encode(text).size(); },
        .cuts_before_spaces = tokenizer.cuts_before_spaces()};
    return {.counter = counter,
            .words = WordPairs::wonderwords(),
            .essays = plan.essays.empty() ? EssayCorpus::built_in(counter)
                                          : EssayCorpus::open(plan.essays, counter)};
}

}  // namespace anamnesis::eval
