// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "adapter_selection.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::MatchedModule;
using checkpoint::MatchedSaved;
using checkpoint::TensorEntry;

/// The edits of base rows as rows of the tensor that takes their place.
std::vector<EditedRows> map_to_saved(std::vector<EditedRows> edits,
                                     const checkpoint::SavedTensor& saved) {
    if (!saved.rows) {
        return edits;
    }
    std::vector<EditedRows> mapped;
    for (std::uint64_t row = 0; row < saved.rows->size(); ++row) {
        for (const EditedRows& edited : edits) {
            const std::uint64_t base_row = (*saved.rows)[row];
            if (edited.rows.begin <= base_row && base_row < edited.rows.end) {
                mapped.push_back({.rows = {.begin = row, .end = row + 1}, .edit = edited.edit});
            }
        }
    }
    return mapped;
}

/// Fills a plan tensor by tensor.
class Planner {
public:
    Planner(AdapterPlan& plan, const BaseSelection& selection)
        : plan_(plan), selection_(selection) {
        const auto& tensors = plan.match->adapter->weights.tensors();
        for (const TensorEntry& tensor : tensors) {
            at_[&tensor] = plan.tensors.size();
            plan.tensors.push_back({.tensor = &tensor});
        }
    }

    void add(const MatchedModule& matched) {
        const checkpoint::AdapterModule& module = *matched.module;
        const std::vector<EditedRows> rows = selection_.list_edits(*matched.weight);
        const std::vector<EditedRows> bias_rows =
            module.bias == nullptr ? rows : selection_.list_bias_edits(matched);
        const std::uint64_t count = matched.weight->rows();
        const bool leaves = restores_all(rows, count) && restores_all(bias_rows, count);
        for (const TensorEntry* part : {module.a, module.b, module.bias, module.magnitude}) {
            if (part != nullptr) {
                AdapterTensor& tensor = find(*part);
                tensor.module = &matched;
                tensor.is_removed = leaves;
            }
        }
        if (leaves || (rows.empty() && bias_rows.empty())) {
            return;
        }
        if (plan_.request.selection.method == Method::fit) {
            return;  // its factors are in the groups of the fit
        }
        if (module.is_embedding) {
            throw Error(ErrorKind::unsupported,
                        format("module {} is an embedding, of which rows cannot leave alone",
                               in_quotes(module.path)));
        }
        refuse_shared_dora(matched, rows);
        refuse_computed_blocks(*module.b, rows);
        find(*module.b).edits = rows;
        if (module.bias != nullptr) {
            find(*module.bias).edits = bias_rows;
        }
        if (module.magnitude != nullptr) {
            find(*module.magnitude).edits = rows;
        }
    }

    /// The factors that a fit changes.
    void add(const std::vector<FitGroup>& fits) {
        for (const FitGroup& group : fits) {
            for (const HeadBlock& block : group.rows) {
                find(*block.weight.post).edits = {
                    {.rows = {.begin = 0, .end = block.weight.rows}, .edit = RowEdit::fit}};
            }
        }
    }

    void add(const MatchedSaved& saved) {
        AdapterTensor& tensor = find(*saved.saved->tensor);
        tensor.saved = &saved;
        tensor.edits = map_to_saved(selection_.list_edits(*saved.base), *saved.saved);
    }

private:
    AdapterTensor& find(const TensorEntry& tensor) { return plan_.tensors[at_.at(&tensor)]; }

    static void refuse_shared_dora(const MatchedModule& matched,
                                   const std::vector<EditedRows>& rows) {
        const bool is_low_rank = std::ranges::all_of(
            rows, [](const EditedRows& edited) { return edited.edit == RowEdit::restore; });
        if (matched.module->magnitude != nullptr && !is_low_rank) {
            throw Error(ErrorKind::unsupported,
                        format("module {} is DoRA, whose difference from the base is not of low "
                               "rank: pro and lerp do not fit into the adapter; merge it in the "
                               "same pass (restore --pre BASE --adapter ADAPTER --out MERGED)",
                               in_quotes(matched.module->path)));
        }
    }

    /// Rows that are computed are rounded to the type of their tensor, one value by itself.
    void refuse_computed_blocks(const TensorEntry& factor,
                                const std::vector<EditedRows>& rows) const {
        const bool is_computed = std::ranges::any_of(
            rows, [](const EditedRows& edited) { return edited.edit != RowEdit::restore; });
        if (is_computed && !is_arithmetic(factor.dtype)) {
            throw Error(ErrorKind::unsupported,
                        format("--method {} computes rows of tensor {} of the adapter, which is "
                               "{}, and only those of F32, F16 and BF16 are written; convert the "
                               "adapter to one of these types first",
                               to_string(plan_.request.selection.method),
                               in_quotes(factor.name),
                               anamnesis::to_string(factor.dtype)));
        }
    }

    AdapterPlan& plan_;
    const BaseSelection& selection_;
    std::unordered_map<const TensorEntry*, std::size_t> at_;
};

void refuse_nothing(const AdapterPlan& plan) {
    const std::string adapter = in_quotes(plan.match->adapter->path.string(), 1000);
    if (plan.count_removed() + plan.count_edited() == 0) {
        throw Error(ErrorKind::mismatch,
                    format("adapter {} touches none of the rows that --method {} takes: there is "
                           "nothing to repair in it",
                           adapter,
                           to_string(plan.request.selection.method)));
    }
    if (plan.count_removed() == plan.tensors.size()) {
        throw Error(ErrorKind::mismatch,
                    format("nothing of adapter {} would be left: the repaired model is the base {} "
                           "itself; use that, without an adapter",
                           adapter,
                           in_quotes(plan.match->base->checkpoint.path().string(), 1000)));
    }
}

std::string describe_made(const AdapterTensor& tensor) {
    if (tensor.is_removed) {
        return "removed";
    }
    return tensor.edits.empty() ? "kept" : "edited";
}

Json list_edits(const AdapterTensor& tensor) {
    Json rows = Json::array();
    for (const EditedRows& edited : tensor.edits) {
        rows.push_back(Json::Array{edited.rows.begin, edited.rows.end, to_string(edited.edit)});
    }
    return rows;
}

}  // namespace

std::string_view to_string(RowEdit edit) noexcept {
    return find_word(row_edit_words, edit);
}

std::uint64_t AdapterPlan::count_removed() const {
    return static_cast<std::uint64_t>(
        std::ranges::count(tensors, true, &AdapterTensor::is_removed));
}

std::uint64_t AdapterPlan::count_edited() const {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(tensors, [](const auto& tensor) { return !tensor.edits.empty(); }));
}

AdapterPlan make_adapter_plan(const checkpoint::AdapterMatch& match, const Request& request) {
    refuse_methods_without_factors(request);
    if (match.adapter->is_gguf()) {
        refuse_methods_of_gguf(request);
    }
    refuse_unfit(
        match, checkpoint::AdapterUse::repair, request.allowed.contains(Allowance::residual));
    if (request.selection.method == Method::lerp && request.alpha == 0.0) {
        throw Error(ErrorKind::usage, "--alpha 0 leaves the adapter as it is");
    }
    AdapterPlan plan{
        .match = &match, .request = request, .tensors = {}, .groups = {}, .findings = {}};
    const bool is_fit = request.selection.method == Method::fit;
    append_findings(plan.findings, match.base->findings(), "pre");
    append_findings(plan.findings, match.findings, "post");
    const BaseSelection selection(*match.base, request, plan.findings);
    Planner planner(plan, selection);
    for (const MatchedModule& module : match.modules) {
        planner.add(module);
    }
    for (const MatchedSaved& saved : match.saved) {
        planner.add(saved);
    }
    if (is_fit) {
        plan.fit.pre = match.base;
        plan.fit.post = match.base;
        plan.fit.adapter = &match;
        plan.fit.request = request;
        plan.fit.fits = make_adapter_fits(match, request);
        planner.add(plan.fit.fits);
    }
    refuse_nothing(plan);
    if (request.selection.method == Method::pro) {
        plan.groups = routing_groups(*match.base, *match.base, request.selection);
    }
    return plan;
}

Json to_json(const AdapterPlan& plan) {
    Json tensors = Json::array();
    for (const AdapterTensor& tensor : plan.tensors) {
        tensors.push_back(Json::Object{{"name", tensor.tensor->name},
                                       {"made", describe_made(tensor)},
                                       {"edits", list_edits(tensor)}});
    }
    return Json::Object{{"dry_run", true},
                        {"request", to_json(plan.request)},
                        {"tensors", std::move(tensors)},
                        {"tensors_removed", plan.count_removed()},
                        {"tensors_edited", plan.count_edited()},
                        {"outputs", std::uint64_t{count_outputs(plan.request)}},
                        {"findings", checkpoint::to_json(plan.findings)}};
}

std::string to_text(const AdapterPlan& plan) {
    std::vector<std::vector<std::string>> rows;
    for (const AdapterTensor& tensor : plan.tensors) {
        if (tensor.is_removed || !tensor.edits.empty()) {
            std::vector<std::string> ranges;
            for (const EditedRows& edited : tensor.edits) {
                ranges.push_back(format(
                    "{}-{} {}", edited.rows.begin, edited.rows.end - 1, to_string(edited.edit)));
            }
            constexpr std::size_t most = 4;
            if (ranges.size() > most) {
                const std::size_t left = ranges.size() - most;
                ranges.resize(most);
                ranges.push_back(format("… {} more ranges", left));
            }
            rows.push_back({tensor.tensor->name, describe_made(tensor), join(ranges, ", ")});
        }
    }
    return report::text_table({"tensor", "made", "rows"}, rows) +
           format("{} tensors leave, {} change, {} stay\nnothing was written (--dry-run)\n",
                  plan.count_removed(),
                  plan.count_edited(),
                  plan.tensors.size() - plan.count_removed() - plan.count_edited());
}

}  // namespace anamnesis::restore
