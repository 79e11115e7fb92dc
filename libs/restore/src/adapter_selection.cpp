// SPDX-License-Identifier: Apache-2.0
#include "adapter_selection.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "check_request.hpp"
#include "select_rows.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RowRole;
using checkpoint::TensorEntry;

std::vector<EditedRows> append(std::vector<EditedRows> edits,
                               checkpoint::RowRange rows,
                               RowEdit edit) {
    if (!edits.empty() && edits.back().edit == edit && edits.back().rows.end == rows.begin) {
        edits.back().rows.end = rows.end;
    } else {
        edits.push_back({.rows = rows, .edit = edit});
    }
    return edits;
}

}  // namespace

BaseSelection::BaseSelection(const RecognisedCheckpoint& base,
                             const Request& request,
                             std::vector<checkpoint::Finding>& findings)
    : request_(request) {
    check_request(base, request);
    std::vector<std::string> problems;
    std::vector<TensorChange> changes =
        select_rows(base, base, request.selection, problems, findings);
    if (!problems.empty()) {
        throw Error(ErrorKind::unsupported,
                    format("rows of the base cannot be told apart: {}", problems.front()));
    }
    if (changes.empty()) {
        refuse_empty_selection(base, request.selection);
    }
    for (TensorChange& change : changes) {
        splices_[change.post] = std::move(change.splices);
    }
}

RowEdit BaseSelection::choose_edit(RowRole role) const {
    switch (request_.selection.method) {
        case Method::lerp:
            return request_.alpha == 1.0 ? RowEdit::restore : RowEdit::weaken;
        case Method::pro:
            return role == RowRole::query ? RowEdit::filter : RowEdit::restore;
        case Method::fit:
            return RowEdit::fit;
        default:
            return RowEdit::restore;
    }
}

std::vector<EditedRows> BaseSelection::list_edits(const TensorEntry& base) const {
    std::vector<EditedRows> edits;
    const auto found = splices_.find(&base);
    if (found == splices_.end()) {
        return edits;
    }
    for (const RowSplice& splice : found->second) {
        edits = append(std::move(edits), splice.rows, choose_edit(splice.role));
    }
    return edits;
}

std::vector<EditedRows> BaseSelection::list_bias_edits(
    const checkpoint::MatchedModule& module) const {
    if (module.bias != nullptr) {
        return list_edits(*module.bias);
    }
    return request_.selection.has_biases ? list_edits(*module.weight) : std::vector<EditedRows>();
}

bool restores_all(const std::vector<EditedRows>& edits, std::uint64_t rows) {
    return edits.size() == 1 && edits.front().edit == RowEdit::restore &&
           edits.front().rows == checkpoint::RowRange{.begin = 0, .end = rows};
}

void refuse_methods_without_factors(const Request& request) {
    const Method method = request.selection.method;
    if (method == Method::align) {
        throw Error(ErrorKind::unsupported,
                    format("--method {} makes rows that are no low-rank difference from the base; "
                           "merge the adapter first (restore --pre BASE --adapter ADAPTER --method "
                           "lerp --alpha 0 --out MERGED), then repair MERGED",
                           to_string(method)));
    }
}

void refuse_methods_of_gguf(const Request& request) {
    const Method method = request.selection.method;
    const bool is_computed = method == Method::pro || method == Method::fit;
    if (request.selection.is_by_group() || is_computed) {
        throw Error(ErrorKind::unsupported,
                    format("--{} cannot be done in a GGUF adapter, whose rows are in llama.cpp's "
                           "order; repair the adapter of PEFT and convert it",
                           is_computed ? format("method {}", to_string(method)) : "groups"));
    }
}

}  // namespace anamnesis::restore
