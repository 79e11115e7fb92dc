// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "lfm_parts.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// The stated width, unless it is adjusted: two thirds of it, times a factor, rounded up to a
/// multiple. Truncated as Python's int() does.
/// Source: transformers 5.23, modeling_lfm2.py, Lfm2MLP.
std::uint32_t read_width(const ConfigReader& config) {
    const std::uint32_t stated = config.has("block_ff_dim")
                                     ? read_size(config, "block_ff_dim", 0)
                                     : read_size(config, "intermediate_size", 12'288);
    if (!config.flag("block_auto_adjust_ff_dim", true)) {
        return stated;
    }
    const auto reduced = static_cast<std::uint32_t>(std::uint64_t{2} * stated / 3);
    if (config.is_null("block_ffn_dim_multiplier")) {
        return check_size(reduced, "intermediate_size");
    }
    const double factor = config.find_number("block_ffn_dim_multiplier").value_or(1.0);
    const double product = factor * reduced;
    if (!(product >= 1.0) || product > ConfigReader::largest_count) {
        throw Error(ErrorKind::malformed,
                    "config key 'block_ffn_dim_multiplier' makes feed-forwards of no possible "
                    "width");
    }
    const std::uint32_t multiple = read_size(config, "block_multiple_of", 256);
    return (static_cast<std::uint32_t>(product) + multiple - 1) / multiple * multiple;
}

void plan_lfm2_layers(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("block_use_swiglu", true)) {
        throw Error(ErrorKind::unsupported, "LFM2 without 'block_use_swiglu' does not run here");
    }
    const DenseSpec dense{.width = read_width(config)};
    plan_lfm2_body(blueprint, config, [&](const Layer& /*layer*/) { return dense; });
}

}  // namespace

namespace families {

Family lfm2() {
    return {.name = "lfm2",
            .model_types = {"lfm2"},
            .evidence = verified,
            .read_layers = read_lfm2_layers,
            .plan_attention = plan_lfm2_attention,
            .plan_layers = plan_lfm2_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
