// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "blocks/fields.hpp"

/// The values of one block each.
namespace anamnesis::blocks {

void dequantise_q2_k(Bytes block, std::span<float> values);
void dequantise_q3_k(Bytes block, std::span<float> values);
void dequantise_q4_k(Bytes block, std::span<float> values);
void dequantise_q5_k(Bytes block, std::span<float> values);
void dequantise_q6_k(Bytes block, std::span<float> values);
void dequantise_q8_k(Bytes block, std::span<float> values);

}  // namespace anamnesis::blocks
