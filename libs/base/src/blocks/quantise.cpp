// SPDX-License-Identifier: Apache-2.0
#include "blocks/quantise.hpp"

#include <cmath>
#include <cstddef>
#include <span>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "blocks/fields.hpp"
#include "blocks/scale_search.hpp"

namespace anamnesis {
namespace blocks {

float add_squares(Values values) {
    float sum = 0.0F;
    for (const float value : values) {
        sum += value * value;
    }
    return sum;
}

void weigh_by_importance(Values values, Values importance, float mean, std::span<float> weights) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        weights[i] = importance[i] * std::sqrt(mean + values[i] * values[i]);
    }
}

namespace {

void quantise_block(DType dtype, Values values, Values weights, float mean_square, Target block) {
    switch (dtype) {
        using enum DType;
        case q8_0:
            return quantise_q8_0(values, block);
        case q4_0:
        case q4_1:
            return quantise_q4(dtype, values, weights, mean_square, block);
        case q5_0:
        case q5_1:
            return quantise_q5(dtype, values, weights, mean_square, block);
        case q2_k:
            return quantise_q2_k(values, weights, block);
        case q3_k:
            return quantise_q3_k(values, weights, block);
        case q4_k:
            return quantise_q4_k(values, weights, block);
        case q5_k:
            return quantise_q5_k(values, weights, block);
        case q6_k:
            return quantise_q6_k(values, weights, block);
        case iq4_nl:
            return quantise_iq4_nl(values, weights, block);
        case iq4_xs:
            return quantise_iq4_xs(values, weights, block);
        case mxfp4:
            return quantise_mxfp4(values, block);
        case tq1_0:
            return quantise_tq1_0(values, block);
        case tq2_0:
            return quantise_tq2_0(values, block);
        case q1_0:
            return quantise_q1_0(values, block);
        default:
            return quantise_q2_0(values, block);
    }
}

}  // namespace
}  // namespace blocks

bool can_quantise(DType dtype) noexcept {
    return can_dequantise(dtype) && dtype != DType::q8_1 && dtype != DType::q8_k &&
           dtype != DType::nvfp4;
}

bool uses_importance(DType dtype) noexcept {
    switch (dtype) {
        using enum DType;
        case q4_0:
        case q4_1:
        case q5_0:
        case q5_1:
        case q2_k:
        case q3_k:
        case q4_k:
        case q5_k:
        case q6_k:
        case iq4_nl:
        case iq4_xs:
            return true;
        default:
            return false;
    }
}

void quantise(DType dtype,
              std::span<const float> row,
              std::span<std::byte> blocks,
              std::span<const float> importance) {
    if (!can_quantise(dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("rows are not written as {} here; give pre in the same type, so that "
                           "they are copied as they are",
                           to_string(dtype)));
    }
    const std::size_t elements = block_elements(dtype);
    const std::size_t bytes = block_bytes(dtype);
    ANAMNESIS_CHECK(row.size() % elements == 0 && blocks.size() == row.size() / elements * bytes,
                    "quantising whole blocks");
    ANAMNESIS_CHECK(importance.empty() || importance.size() == row.size(),
                    "one weight for each value");
    const bool is_weighted = !importance.empty() && uses_importance(dtype);
    const float mean_square =
        is_weighted ? blocks::add_squares(row) / static_cast<float>(row.size()) : 0.0F;
    for (std::size_t i = 0; i < row.size() / elements; ++i) {
        blocks::quantise_block(
            dtype,
            row.subspan(i * elements, elements),
            is_weighted ? importance.subspan(i * elements, elements) : std::span<const float>(),
            mean_square,
            blocks.subspan(i * bytes, bytes));
    }
}

}  // namespace anamnesis
