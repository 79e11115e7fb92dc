// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis {

/// True for block-quantised types whose values `dequantise` gives: all but those with codebooks
/// (IQ1_*, IQ2_*, IQ3_*).
bool can_dequantise(DType dtype) noexcept;

/// True for block-quantised types that `quantise` writes: those that can be dequantised, but for
/// the working types of dot products (Q8_1, Q8_K) and NVFP4, whose scale for the whole tensor lies
/// outside the blocks.
bool can_quantise(DType dtype) noexcept;

/// True where weights of importance change what `quantise` writes.
bool uses_importance(DType dtype) noexcept;

/// The float32 values of whole blocks, each product rounded, as llama.cpp computes them, bit for
/// bit. NVFP4: without the scale that the file keeps for the whole tensor. Errors: `unsupported`
/// for a type with a codebook; `internal` for spans that do not fit. Source: ggml-quants.c of
/// llama.cpp 0c1e57098, dequantize_row_*.
void dequantise(DType dtype, std::span<const std::byte> blocks, std::span<float> values);

/// One row of values in whole blocks, as llama.cpp writes them, bit for bit. With `importance`, one
/// weight for each value of the row, where the type uses them.
/// Errors: `unsupported` for a type that is not written; `internal` for spans that do not fit.
/// Source: ggml-quants.c of llama.cpp 0c1e57098, quantize_row_*_ref and quantize_row_*_impl, built
/// without fused multiply-add.
void quantise(DType dtype,
              std::span<const float> row,
              std::span<std::byte> blocks,
              std::span<const float> importance = {});

}  // namespace anamnesis
