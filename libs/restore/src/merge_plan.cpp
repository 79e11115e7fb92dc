// SPDX-License-Identifier: Apache-2.0
#include "merge_plan.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "adapter_selection.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::MatchedModule;
using checkpoint::MatchedSaved;
using checkpoint::RowRange;
using checkpoint::Severity;
using checkpoint::TensorEntry;

void require_values(const TensorEntry& base) {
    if (!is_arithmetic(base.dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} of the base is {}, to which nothing can be added; give the "
                           "base in BF16, F16 or F32",
                           in_quotes(base.name),
                           anamnesis::to_string(base.dtype)));
    }
}

/// The rows below `rows` that no edit restores.
std::vector<RowRange> list_changed_rows(const std::vector<EditedRows>& edits, std::uint64_t rows) {
    std::vector<RowRange> changed;
    std::uint64_t begin = 0;
    for (const EditedRows& edited : edits) {
        if (edited.edit != RowEdit::restore) {
            continue;
        }
        if (begin < edited.rows.begin) {
            changed.push_back({.begin = begin, .end = edited.rows.begin});
        }
        begin = edited.rows.end;
    }
    if (begin < rows) {
        changed.push_back({.begin = begin, .end = rows});
    }
    return changed;
}

class MergePlanner {
public:
    MergePlanner(Plan& plan, Merge& merge, const BaseSelection& selection)
        : plan_(plan), merge_(merge), selection_(selection) {}

    void add(MergedTensor merged) {
        if (merged.is_bias) {
            merged.edits = selection_.list_bias_edits(*merged.module);
        } else {
            merged.edits = selection_.list_edits(*merged.base);
        }
        const bool is_embedding =
            merged.module != nullptr && !merged.is_bias && merged.module->module->is_embedding;
        if (is_embedding && !merged.edits.empty() &&
            !restores_all(merged.edits, merged.base->rows())) {
            throw Error(ErrorKind::unsupported,
                        format("module {} is an embedding, of which rows cannot be repaired alone",
                               in_quotes(merged.module->module->path)));
        }
        append(std::move(merged));
    }

    bool restores_something() const { return restores_something_; }

private:
    void append(MergedTensor merged) {
        restores_something_ = restores_something_ || !merged.edits.empty();
        TensorChange change{.post = merged.base,
                            .pre = merged.base,
                            .splices = {},
                            .layer = checkpoint::find_layer(merged.base->name),
                            .part = find_part(*merged.base)};
        // The bytes of a saved tensor are copied or converted where no repair mixes them.
        const bool is_copied = merged.saved != nullptr && !merged.saved->saved->rows &&
                               std::ranges::all_of(merged.edits, [](const EditedRows& edited) {
                                   return edited.edit == RowEdit::restore;
                               });
        if (is_copied) {
            change.pre = merged.saved->saved->tensor;
        }
        for (const RowRange& rows : list_rows(merged)) {
            change.splices.push_back({.rows = rows,
                                      .pre_row = rows.begin,
                                      .source = is_copied ? RowSource::pre : RowSource::computed});
        }
        if (!change.splices.empty()) {
            refuse_second_change(*merged.base);
            plan_.changes.push_back(std::move(change));
            merge_.tensors.push_back(std::move(merged));
        }
    }

    /// A bias that was trained, and one of B that is added to it.
    void refuse_second_change(const TensorEntry& base) {
        if (!taken_.insert(&base).second) {
            throw Error(ErrorKind::unsupported,
                        format("two tensors of the adapter change {} of the base; merge it with "
                               "PEFT and repair the merged checkpoint",
                               in_quotes(base.name)));
        }
    }

    static std::vector<RowRange> list_rows(const MergedTensor& merged) {
        std::vector<RowRange> changed = list_changed_rows(merged.edits, merged.base->rows());
        if (merged.saved == nullptr || !merged.saved->saved->rows) {
            return changed;
        }
        std::vector<std::uint64_t> rows = *merged.saved->saved->rows;
        std::ranges::sort(rows);
        std::vector<RowRange> single;
        for (const std::uint64_t row : rows) {
            const bool is_changed = std::ranges::any_of(changed, [row](const RowRange& range) {
                return range.begin <= row && row < range.end;
            });
            if (is_changed && (single.empty() || single.back().end <= row)) {
                single.push_back({.begin = row, .end = row + 1});
            }
        }
        return single;
    }

    std::string find_part(const TensorEntry& base) const {
        const auto group = checkpoint::classify_tensor(plan_.pre->model, base.name);
        return group ? std::string(checkpoint::to_string(*group)) : "qkv";
    }

    Plan& plan_;
    Merge& merge_;
    const BaseSelection& selection_;
    std::set<const TensorEntry*> taken_;
    bool restores_something_ = false;
};

/// Changes in the order of the base's files, each with its tensor.
void order_by_file(Plan& plan, Merge& merge) {
    std::vector<std::size_t> order(plan.changes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) {
        return std::pair(plan.changes[i].post->file, plan.changes[i].post->offset);
    });
    std::vector<TensorChange> changes;
    std::vector<MergedTensor> tensors;
    for (const std::size_t i : order) {
        changes.push_back(std::move(plan.changes[i]));
        tensors.push_back(std::move(merge.tensors[i]));
    }
    plan.changes = std::move(changes);
    merge.tensors = std::move(tensors);
}

void note_untouched(const checkpoint::AdapterMatch& match,
                    const Request& request,
                    bool restores_something,
                    Plan& plan) {
    if (plan.changes.empty()) {
        plan.findings.push_back(
            {.code = "merged_is_base",
             .severity = Severity::warning,
             .sentence = format("nothing of the adapter is left after the repair: the merged "
                                "checkpoint is a copy of the base {}",
                                in_quotes(match.base->checkpoint.path().string(), 1000)),
             .where = "pair"});
    } else if (!restores_something) {
        plan.findings.push_back(
            {.code = "adapter_spares_rows",
             .severity = Severity::note,
             .sentence =
                 format("the adapter touches none of the rows that --method {} takes: it is "
                        "merged as it is",
                        to_string(request.selection.method)),
             .where = "pair"});
    }
}

}  // namespace

std::string_view to_string(MergeRounding rounding) noexcept {
    return find_word(rounding_words, rounding);
}

std::optional<checkpoint::Finding> find_tied_embedding(const checkpoint::AdapterMatch& match) {
    const auto is_embedding = [&](const TensorEntry* base) {
        return checkpoint::classify_tensor(match.base->model, base->name) ==
               checkpoint::TensorGroup::embedding;
    };
    const bool changes_embedding =
        std::ranges::any_of(match.modules, is_embedding, &MatchedModule::weight) ||
        std::ranges::any_of(match.saved, is_embedding, &MatchedSaved::base);
    if (!match.base->model.is_head_tied || !changes_embedding ||
        match.adapter->config.has_tied_weights) {
        return std::nullopt;
    }
    return checkpoint::Finding{
        .code = "tied_embedding",
        .severity = Severity::warning,
        .sentence =
            "the adapter changes the embedding, which is the head too in this base: merged, "
            "it changes both, where the adapter alone changes the embedding only",
        .where = "pair"};
}

void refuse_saved_head_of_tied_base(const checkpoint::AdapterMatch& match) {
    if (!match.base->model.is_head_tied) {
        return;
    }
    const auto found = std::ranges::find_if(match.unmatched, [](const std::string& name) {
        return name.find(".lm_head.") != std::string::npos;
    });
    if (found != match.unmatched.end()) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} changes the head alone, and the head of the base is tied to "
                           "its embedding: merged, they would have to part; untie the base first "
                           "(save it with tie_word_embeddings false and a copy of the embedding as "
                           "lm_head.weight)",
                           in_quotes(*found)));
    }
}

std::vector<MergedTensor> list_merged_tensors(const checkpoint::AdapterMatch& match) {
    std::vector<MergedTensor> merged;
    for (const MatchedModule& module : match.modules) {
        merged.push_back({.base = module.weight, .module = &module});
        if (module.module->bias == nullptr) {
            continue;
        }
        if (module.bias == nullptr) {
            throw Error(ErrorKind::mismatch,
                        format("module {} has a bias in the adapter (lora_bias), and the base has "
                               "none that it could be added to; repair the adapter itself (--post)",
                               in_quotes(module.module->path)));
        }
        merged.push_back({.base = module.bias, .module = &module, .is_bias = true});
    }
    for (const MatchedSaved& saved : match.saved) {
        merged.push_back({.base = saved.base, .saved = &saved});
    }
    for (const MergedTensor& one : merged) {
        require_values(*one.base);
    }
    return merged;
}

MergeRounding find_rounding(const Json& receipt) {
    const Json* word = receipt.find("rounding");
    return word == nullptr
               ? MergeRounding::once
               : parse_word(
                     rounding_words, word->as_string("rounding"), "rounding", ErrorKind::malformed);
}

Plan make_merge_plan(const checkpoint::AdapterMatch& match,
                     const Request& request,
                     MergeRounding rounding) {
    const std::vector<checkpoint::WeightFile>& files = match.base->checkpoint.files();
    const bool is_gguf = !files.empty() && files.front().path().extension() == ".gguf";
    if (is_gguf && !match.adapter->is_gguf()) {
        throw Error(
            ErrorKind::unsupported,
            format("an adapter of PEFT is not merged into a GGUF file, and {} is one; merge "
                   "it into the safetensors checkpoint, or run it beside the file "
                   "(--adapter of generate and niah)",
                   in_quotes(files.front().path().string(), 1000)));
    }
    refuse_methods_without_factors(request);
    refuse_saved_head_of_tied_base(match);
    refuse_unfit(
        match, checkpoint::AdapterUse::merge, request.allowed.contains(Allowance::residual));
    Plan plan;
    plan.pre = match.base;
    plan.post = match.base;
    plan.request = request;
    append_findings(plan.findings, match.base->findings(), "pre");
    append_findings(plan.findings, match.findings, "post");
    if (auto tied = find_tied_embedding(match)) {
        plan.findings.push_back(*std::move(tied));
    }
    const auto merge = std::make_shared<Merge>();
    merge->match = &match;
    merge->rounding = rounding;
    const BaseSelection selection(*match.base, request, plan.findings);
    MergePlanner planner(plan, *merge, selection);
    for (MergedTensor& merged : list_merged_tensors(match)) {
        planner.add(std::move(merged));
    }
    order_by_file(plan, *merge);
    note_untouched(match, request, planner.restores_something(), plan);
    if (request.selection.method == Method::pro) {
        merge->groups = routing_groups(*match.base, *match.base, request.selection);
    }
    plan.merge = merge;
    return plan;
}

}  // namespace anamnesis::restore
