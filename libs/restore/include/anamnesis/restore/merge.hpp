// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

/// A base and its LoRA adapter in one checkpoint, repaired in the same pass (docs/lora.md).
namespace anamnesis::restore {

/// How W0 + scale B A becomes values of the base's type.
enum class MergeRounding : std::uint8_t {
    once,  ///< the float64 sum, rounded to nearest
    peft,  ///< product, scaled product and sum in float32, then rounded, as merge_and_unload does
};
inline constexpr std::array<Word<MergeRounding>, 2> rounding_words{{
    {MergeRounding::once, "once"},
    {MergeRounding::peft, "peft"},
}};
std::string_view to_string(MergeRounding rounding) noexcept;

/// What a receipt says; `once` for one of no merge. Errors: `malformed` for an unknown word.
MergeRounding find_rounding(const Json& receipt);

/// One tensor of the base that the adapter changes. Rows that are restored are not listed: they
/// stay the base's own bytes.
struct MergedTensor {
    const checkpoint::TensorEntry* base = nullptr;
    const checkpoint::MatchedModule* module = nullptr;  ///< null for a saved tensor
    const checkpoint::MatchedSaved* saved = nullptr;
    bool is_bias = false;             ///< the bias of the module
    std::vector<EditedRows> edits{};  ///< of rows that a repair takes
};

struct Merge {
    const checkpoint::AdapterMatch* match = nullptr;
    MergeRounding rounding = MergeRounding::once;
    std::vector<MergedTensor> tensors{};  ///< one for each change of the plan
    std::vector<RoutingGroup> groups{};   ///< for pro: those of the base
};

/// The plan that merges an adapter into its base and repairs the result: pre and post of the plan
/// are the base, and the rows that change are those that the adapter changes and no repair takes.
/// Errors: those of `refuse_unfit`; `usage` for layers and heads that do not exist and a selection
/// without rows; `unsupported` for align and fit, and for a base of 8-bit floats; `mismatch` for a
/// bias that the base does not have and a head that a tied base would be given.
Plan make_merge_plan(const checkpoint::AdapterMatch& match,
                     const Request& request,
                     MergeRounding rounding);

}  // namespace anamnesis::restore
