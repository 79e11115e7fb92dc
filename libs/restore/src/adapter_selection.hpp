// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>
#include <vector>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// The rows of the base that a request repairs, by tensor.
class BaseSelection {
public:
    /// Errors: `usage` and `unsupported`, as those of make_plan for pre and post of one shape.
    BaseSelection(const RecognisedCheckpoint& base,
                  const Request& request,
                  std::vector<checkpoint::Finding>& findings);

    /// How the selected rows of a tensor are repaired, ascending; empty where none is.
    std::vector<EditedRows> list_edits(const checkpoint::TensorEntry& base) const;

    /// The same for what is added to the bias of a module, which may have no bias of its own.
    std::vector<EditedRows> list_bias_edits(const checkpoint::MatchedModule& module) const;

private:
    RowEdit choose_edit(checkpoint::RowRole role) const;

    const Request& request_;
    std::unordered_map<const checkpoint::TensorEntry*, std::vector<RowSplice>> splices_;
};

/// Rows that `edits` restore make up all of `rows`.
bool restores_all(const std::vector<EditedRows>& edits, std::uint64_t rows);

/// Errors: `unsupported` for a method that an adapter cannot hold.
void refuse_methods_without_factors(const Request& request);

/// Errors: `unsupported` for what needs more than the row roles of softmax attention.
void refuse_methods_of_gguf(const Request& request);

}  // namespace anamnesis::restore
