// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "select_rows.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AdapterMatch;
using checkpoint::MatchedModule;
using checkpoint::TensorEntry;

[[noreturn]] void refuse(std::string_view what, std::string_view name, std::string_view why) {
    throw Error(ErrorKind::unsupported,
                format("{} {} cannot be fitted within the adapter: {}; merge the adapter first "
                       "(restore --pre BASE --adapter ADAPTER --method lerp --alpha 0 --out "
                       "MERGED), then repair MERGED",
                       what,
                       in_quotes(name),
                       why));
}

/// A (I - F) is the fitted change only where nothing but s B A is added.
void refuse_more_than_factors(const MatchedModule& matched) {
    const checkpoint::AdapterModule& module = *matched.module;
    if (module.magnitude != nullptr) {
        refuse(
            "module", module.path, "it is DoRA, whose difference from the base is not of low rank");
    }
    if (module.bias != nullptr) {
        refuse("module", module.path, "it has a bias, which A cannot hold");
    }
    if (module.is_embedding) {
        refuse("module", module.path, "it is an embedding, whose inputs are tokens");
    }
}

/// The selected rows of the base that the adapter changes.
std::vector<TensorChange> list_changes(const AdapterMatch& match, const Request& request) {
    std::vector<std::string> problems;
    std::vector<checkpoint::Finding> findings;
    std::vector<TensorChange> changes =
        select_rows(*match.base, *match.base, request.selection, problems, findings);
    for (const checkpoint::MatchedSaved& saved : match.saved) {
        const auto is_it = [&](const TensorChange& change) { return change.post == saved.base; };
        if (std::ranges::any_of(changes, is_it)) {
            refuse("tensor", saved.saved->name, "the adapter holds it in full, not as factors");
        }
    }
    std::erase_if(changes, [&](const TensorChange& change) {
        return change.post->shape.size() < 2 || match.find(*change.post) == nullptr;
    });
    for (TensorChange& change : changes) {
        for (RowSplice& splice : change.splices) {
            splice.source = RowSource::computed;
        }
    }
    return changes;
}

/// The factors A of the modules whose rows a group has. One A serves all rows of its module, so
/// all of them must be in the group.
FitGroup to_factors(const FitGroup& of_base, const AdapterMatch& match) {
    FitGroup group{.layer = of_base.layer, .part = of_base.part, .sums_heads = true};
    std::vector<std::pair<const TensorEntry*, std::uint64_t>> rows;
    for (const HeadBlock& block : of_base.rows) {
        const TensorEntry* weight = block.weight.post;
        const auto found =
            std::ranges::find(rows, weight, [](const auto& one) { return one.first; });
        if (block.weight.layout != MatrixLayout::rows) {
            refuse("tensor", weight->name, "it is a stack of experts");
        }
        if (found == rows.end()) {
            rows.emplace_back(weight, block.weight.rows);
        } else {
            found->second += block.weight.rows;
        }
    }
    for (const auto& [weight, count] : rows) {
        const MatchedModule& matched = *match.find(*weight);
        refuse_more_than_factors(matched);
        if (count != weight->rows()) {
            refuse("module",
                   matched.module->path,
                   "its one factor A serves rows that are not all fitted to the same inputs");
        }
        const TensorEntry& a = *matched.module->a;
        group.rows.push_back({.head = 0, .weight = {.post = &a, .pre = nullptr, .rows = a.rows()}});
    }
    return group;
}

}  // namespace

std::vector<FitGroup> make_adapter_fits(const AdapterMatch& match, const Request& request) {
    std::vector<FitGroup> fits;
    for (const FitGroup& group :
         make_fit_groups(*match.base, list_changes(match, request), request)) {
        fits.push_back(to_factors(group, match));
    }
    return fits;
}

}  // namespace anamnesis::restore
