// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

/// QK-Restore inside a LoRA adapter (docs/lora.md): the base is pre, the base with the adapter is
/// post, so a row is restored where the adapter leaves it alone.
namespace anamnesis::restore {

/// What becomes of rows of a tensor.
enum class RowEdit : std::uint8_t {
    restore,  ///< zero in B, the base's own in a saved tensor, the base's row norm in a magnitude
    weaken,   ///< (1 - alpha) of B, or of the distance of a saved tensor from the base
    filter,   ///< QK-Pro: lambda (G + lambda I)^-1 B, or the rows of a saved tensor filtered
    fit,      ///< A (I - F) with the filter of fit
};

inline constexpr std::array<Word<RowEdit>, 4> row_edit_words{{
    {RowEdit::restore, "restored"},
    {RowEdit::weaken, "weakened"},
    {RowEdit::filter, "filtered"},
    {RowEdit::fit, "fitted"},
}};
std::string_view to_string(RowEdit edit) noexcept;

struct EditedRows {
    checkpoint::RowRange rows;  ///< of the adapter's tensor
    RowEdit edit = RowEdit::restore;
};

/// One tensor of the adapter and what becomes of it.
struct AdapterTensor {
    const checkpoint::TensorEntry* tensor = nullptr;
    bool is_removed = false;
    std::vector<EditedRows> edits{};                    ///< ascending; empty: it stays as it is
    const checkpoint::MatchedModule* module = nullptr;  ///< that it is part of
    const checkpoint::MatchedSaved* saved = nullptr;    ///< where it takes a base tensor's place
};

/// What the repair of an adapter will do; nothing is written by making it.
struct AdapterPlan {
    const checkpoint::AdapterMatch* match = nullptr;
    Request request;
    std::vector<AdapterTensor> tensors;  ///< all, in the order of the file
    std::vector<RoutingGroup> groups;    ///< for pro: those of the base
    std::vector<checkpoint::Finding> findings;
    /// For fit: what is calibrated. Whoever does gives it moments, and the request what it chose.
    Plan fit{};

    std::uint64_t count_removed() const;
    std::uint64_t count_edited() const;
};

/// Decides what leaves the adapter.
/// Errors: those of `refuse_unfit`; `usage` for layers and heads that do not exist and a selection
/// without rows; `unsupported` for what leaves no low-rank difference (align; pro, lerp and fit of
/// DoRA; fit of tensors held in full, biases and parts of a module); `mismatch` where the adapter
/// touches no selected row, and where nothing of it would be left.
AdapterPlan make_adapter_plan(const checkpoint::AdapterMatch& match, const Request& request);

/// The factors A that `fit` changes, as its groups: pre has zeros, one moment serves a module.
/// Errors: `unsupported`, naming the module, for DoRA, biases, embeddings, tensors held in full and
/// modules of which some rows are not selected.
std::vector<FitGroup> make_adapter_fits(const checkpoint::AdapterMatch& match,
                                        const Request& request);

/// Writes an adapter folder for each lambda of pro, each mu of fit, one for other methods. Tensors
/// that stay and adapter_config.json are copied byte for byte; where `is_tidy`, its exclude_modules
/// gets the names of the modules that left. Of the options `is_synced` alone has a meaning here.
/// Errors: `usage` where an output exists or lies in a source, and for the other options; `io`.
std::vector<Result> write_adapters(const AdapterPlan& plan,
                                   const std::vector<std::filesystem::path>& targets,
                                   const OutputOptions& options,
                                   bool is_tidy,
                                   const Execution& execution);

/// What `--dry-run` prints.
Json to_json(const AdapterPlan& plan);
std::string to_text(const AdapterPlan& plan);

}  // namespace anamnesis::restore
