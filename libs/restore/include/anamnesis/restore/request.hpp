// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// How the routing rows of pre and post become those of the repaired checkpoint
/// (docs/method.md, "Methods").
enum class Method : std::uint8_t {
    qk,      ///< QK-Restore: W_Q and W_K of pre, byte for byte
    q,       ///< ablation: W_Q alone
    k,       ///< ablation: W_K alone
    v,       ///< ablation: W_V alone
    groups,  ///< ablation: any tensor groups, byte for byte
    pro,     ///< QK-Pro: W_K of pre, W_Q filtered toward pre where the keys carry weight
    lerp,    ///< post + alpha (pre - post) on W_Q and W_K, or on the groups that are chosen
    align,   ///< W_Q and W_K of pre, rotated onto post's gauge
    fit,     ///< nearest to pre on recall inputs and to post on chains, from calibration texts
};
inline constexpr std::array<Word<Method>, 9> method_words{{
    {Method::qk, "qk"},
    {Method::q, "q"},
    {Method::k, "k"},
    {Method::v, "v"},
    {Method::groups, "groups"},
    {Method::pro, "pro"},
    {Method::lerp, "lerp"},
    {Method::align, "align"},
    {Method::fit, "fit"},
}};
std::string_view to_string(Method method) noexcept;

/// Which inner product QK-Pro weighs query directions by.
enum class ProMetric : std::uint8_t { gram, rope, gain };
inline constexpr std::array<Word<ProMetric>, 3> metric_words{{
    {ProMetric::gram, "gram"},
    {ProMetric::rope, "rope"},
    {ProMetric::gain, "gain"},
}};
std::string_view to_string(ProMetric metric) noexcept;

/// One strength of QK-Pro: relative to trace(G) / head_dim of each key head, or absolute.
struct Lambda {
    double value = 1.0;
    bool is_relative = true;
};

/// Which inputs of W_K count in `fit`.
enum class KeyInputs : std::uint8_t {
    attention,  ///< every token, weighed by the attention that it receives, for each head
    centred,    ///< every token, less the mean of its text
};
inline constexpr std::array<Word<KeyInputs>, 2> key_inputs_words{{
    {KeyInputs::attention, "attention"},
    {KeyInputs::centred, "centred"},
}};
std::string_view to_string(KeyInputs keys) noexcept;

/// The most rounds of `fit` that are worth their passes.
inline constexpr std::uint32_t most_fit_rounds = 3;

/// How `fit` balances pre and post, and what it is calibrated with.
struct FitSettings {
    std::vector<double> mus{};  ///< weight of chains against recall; one output each
    bool chooses_mu = false;    ///< held-back chains are yet to choose the one of `mus`
    KeyInputs keys = KeyInputs::attention;
    std::uint32_t rounds = 0;    ///< of raising the weights of chains that the repair made worse
    bool scales_inputs = false;  ///< each input has a ridge of its own (fit.hpp)
    /// What the moments were summed over, for the receipt: digests, texts, tokens.
    Json calibration{};
    /// For each mu what the moments say of its groups (fit_report.hpp), for the receipt; or empty.
    std::vector<Json> reports{};
};

/// Disagreements of pre and post that a user may allow.
enum class Allowance : std::uint8_t {
    family,     ///< different families whose tensors pair by name
    heads,      ///< different head counts over the same rows
    position,   ///< different rope theta, scaling or partial factor
    swapped,    ///< pre looks like the fine-tuned one
    links,      ///< --in-place through symbolic links and on files with other hard links
    unrelated,  ///< W_Q, W_K and the rest of pre and post have nothing in common
    rotary,     ///< rows of W_Q and W_K in another order of rotary pairs
    residual,   ///< an adapter whose initialisation changed its base: pre is that base
    prefix,     ///< an adapter named inside a wrapper that pre does not have
};
inline constexpr std::array<Word<Allowance>, 9> allowance_words{{
    {Allowance::family, "family"},
    {Allowance::heads, "heads"},
    {Allowance::position, "position"},
    {Allowance::swapped, "swapped"},
    {Allowance::links, "links"},
    {Allowance::unrelated, "unrelated"},
    {Allowance::rotary, "rotary"},
    {Allowance::residual, "residual"},
    {Allowance::prefix, "prefix"},
}};
std::string_view to_string(Allowance allowance) noexcept;

/// Which rows a repair takes.
struct Selection {
    Method method = Method::qk;
    /// What is restored, for Method::groups and fit; lerp takes W_Q and W_K where it is empty.
    std::set<checkpoint::TensorGroup> groups{};
    std::optional<std::set<std::uint32_t>> layers{};  ///< absent: all
    /// Key-value heads: their key rows and the query rows of the heads that share them.
    std::optional<std::set<std::uint32_t>> kv_heads{};
    bool has_biases = true;
    bool has_sliding = false;
    bool has_draft_heads = false;
    bool has_norms = false;
    bool has_adapters = false;

    /// Rows are chosen by group, not by what the method stands for.
    bool is_by_group() const { return !groups.empty(); }
};

/// All that decides the result, and a note.
struct Request {
    Selection selection;
    std::vector<Lambda> lambdas{Lambda{}};
    ProMetric metric = ProMetric::gram;
    double alpha = 0.5;
    FitSettings fit{};
    std::set<Allowance> allowed{};
    /// How rows become those of a GGUF file, where they are not of its types already.
    checkpoint::GgufVia via = checkpoint::GgufVia::none;
    /// A file of importances (imatrix.gguf) to quantise with; empty: none.
    std::string importance{};
    bool is_exact = false;  ///< rows that would have to be rounded are refused
    std::string note{};     ///< for the receipt alone: why, or by whom
};

/// Every weight, those too that a repair leaves alone unless it is asked for them.
void take_everything(Selection& selection);

/// What a caller gave of the settings that belong to some methods.
struct GivenSettings {
    bool has_method = false;
    bool has_groups = false;
    std::vector<double> relative_lambdas{};
    std::vector<double> absolute_lambdas{};
    bool has_metric = false;
    bool has_alpha = false;
};

/// The request that a caller means whose method, groups, metric and alpha are set in `request`, as
/// far as they were given: groups without a method are copied, fit takes q and k by default.
/// Errors: `usage` for settings that the method would ignore, for a strength that is negative or no
///         number, and for the method `groups`, which is given by its groups.
Request complete_request(Request request, const GivenSettings& given);

/// The mu of `fit` that a list in words names: numbers of at least 0, or "inf", with commas.
/// Errors: `usage`, naming the word.
std::vector<double> parse_mus(const std::string& text);

/// The mu of `fit` where none is given. Source: docs/method.md, "Fit".
double find_default_mu(const Selection& selection, std::uint32_t rounds);

/// Outputs that a request asks for: one for each lambda of `pro` and each mu of `fit`, else one.
std::size_t count_outputs(const Request& request);

/// The request of one of several outputs. Errors: `internal` for an index outside.
Request request_of_output(const Request& request, std::size_t index);

/// The request as receipts and patches hold it.
Json to_json(const Request& request);

/// A mu or a lambda; an infinite one is the word "inf", for which JSON has no number.
Json describe_strength(double value);

/// Errors: `malformed` for anything `to_json` does not write.
Request request_from_json(const Json& json);

}  // namespace anamnesis::restore
