// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace anamnesis {

/// Element types: first those of the safetensors format in its own order (safetensors 0.8,
/// `Dtype`), then the block-quantised ones of GGUF (ggml 0.25, `ggml_type`).
enum class DType : std::uint8_t {
    boolean,
    f4,
    f6_e2m3,
    f6_e3m2,
    u8,
    i8,
    f8_e5m2,
    f8_e4m3,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    i16,
    u16,
    f16,
    bf16,
    i32,
    u32,
    f32,
    c64,
    f64,
    i64,
    u64,
    q4_0,
    q4_1,
    q5_0,
    q5_1,
    q8_0,
    q8_1,
    q2_k,
    q3_k,
    q4_k,
    q5_k,
    q6_k,
    q8_k,
    iq2_xxs,
    iq2_xs,
    iq3_xxs,
    iq1_s,
    iq4_nl,
    iq3_s,
    iq2_s,
    iq4_xs,
    iq1_m,
    tq1_0,
    tq2_0,
    mxfp4,
    nvfp4,
    q1_0,
    q2_0,
};

/// How values of a type are stored: in blocks of whole bytes, a plain type one value a block.
struct DTypeRow {
    DType dtype;
    std::string_view name;         ///< as safetensors or GGUF spells it
    std::uint16_t block_elements;  ///< stored together
    std::uint16_t block_bytes;
};

inline constexpr std::array dtype_table{
    DTypeRow{DType::boolean, "BOOL", 1, 1},
    DTypeRow{DType::f4, "F4", 2, 1},
    DTypeRow{DType::f6_e2m3, "F6_E2M3", 4, 3},
    DTypeRow{DType::f6_e3m2, "F6_E3M2", 4, 3},
    DTypeRow{DType::u8, "U8", 1, 1},
    DTypeRow{DType::i8, "I8", 1, 1},
    DTypeRow{DType::f8_e5m2, "F8_E5M2", 1, 1},
    DTypeRow{DType::f8_e4m3, "F8_E4M3", 1, 1},
    DTypeRow{DType::f8_e8m0, "F8_E8M0", 1, 1},
    DTypeRow{DType::f8_e4m3fnuz, "F8_E4M3FNUZ", 1, 1},
    DTypeRow{DType::f8_e5m2fnuz, "F8_E5M2FNUZ", 1, 1},
    DTypeRow{DType::i16, "I16", 1, 2},
    DTypeRow{DType::u16, "U16", 1, 2},
    DTypeRow{DType::f16, "F16", 1, 2},
    DTypeRow{DType::bf16, "BF16", 1, 2},
    DTypeRow{DType::i32, "I32", 1, 4},
    DTypeRow{DType::u32, "U32", 1, 4},
    DTypeRow{DType::f32, "F32", 1, 4},
    DTypeRow{DType::c64, "C64", 1, 8},
    DTypeRow{DType::f64, "F64", 1, 8},
    DTypeRow{DType::i64, "I64", 1, 8},
    DTypeRow{DType::u64, "U64", 1, 8},
    DTypeRow{DType::q4_0, "Q4_0", 32, 18},
    DTypeRow{DType::q4_1, "Q4_1", 32, 20},
    DTypeRow{DType::q5_0, "Q5_0", 32, 22},
    DTypeRow{DType::q5_1, "Q5_1", 32, 24},
    DTypeRow{DType::q8_0, "Q8_0", 32, 34},
    DTypeRow{DType::q8_1, "Q8_1", 32, 36},
    DTypeRow{DType::q2_k, "Q2_K", 256, 84},
    DTypeRow{DType::q3_k, "Q3_K", 256, 110},
    DTypeRow{DType::q4_k, "Q4_K", 256, 144},
    DTypeRow{DType::q5_k, "Q5_K", 256, 176},
    DTypeRow{DType::q6_k, "Q6_K", 256, 210},
    DTypeRow{DType::q8_k, "Q8_K", 256, 292},
    DTypeRow{DType::iq2_xxs, "IQ2_XXS", 256, 66},
    DTypeRow{DType::iq2_xs, "IQ2_XS", 256, 74},
    DTypeRow{DType::iq3_xxs, "IQ3_XXS", 256, 98},
    DTypeRow{DType::iq1_s, "IQ1_S", 256, 50},
    DTypeRow{DType::iq4_nl, "IQ4_NL", 32, 18},
    DTypeRow{DType::iq3_s, "IQ3_S", 256, 110},
    DTypeRow{DType::iq2_s, "IQ2_S", 256, 82},
    DTypeRow{DType::iq4_xs, "IQ4_XS", 256, 136},
    DTypeRow{DType::iq1_m, "IQ1_M", 256, 56},
    DTypeRow{DType::tq1_0, "TQ1_0", 256, 54},
    DTypeRow{DType::tq2_0, "TQ2_0", 256, 66},
    DTypeRow{DType::mxfp4, "MXFP4", 32, 17},
    DTypeRow{DType::nvfp4, "NVFP4", 64, 36},
    DTypeRow{DType::q1_0, "Q1_0", 128, 18},
    DTypeRow{DType::q2_0, "Q2_0", 64, 18},
};

/// Types of GGUF whose values share scales in blocks along a row.
constexpr bool is_block_quantised(DType dtype) {
    return dtype >= DType::q4_0;
}

/// By name, of whatever container.
constexpr std::optional<DType> find_dtype(std::string_view name) {
    for (const DTypeRow& row : dtype_table) {
        if (row.name == name) {
            return row.dtype;
        }
    }
    return std::nullopt;
}

/// By name, of those that the safetensors format has.
constexpr std::optional<DType> find_safetensors_dtype(std::string_view name) {
    const std::optional<DType> dtype = find_dtype(name);
    return dtype && !is_block_quantised(*dtype) ? dtype : std::nullopt;
}

constexpr std::string_view to_string(DType dtype) {
    return dtype_table[static_cast<std::size_t>(dtype)].name;
}

constexpr std::uint32_t block_elements(DType dtype) {
    return dtype_table[static_cast<std::size_t>(dtype)].block_elements;
}

constexpr std::uint32_t block_bytes(DType dtype) {
    return dtype_table[static_cast<std::size_t>(dtype)].block_bytes;
}

/// Values that `bytes` bytes hold; a block that is not whole is not counted.
constexpr std::uint64_t count_elements(DType dtype, std::uint64_t bytes) {
    return bytes / block_bytes(dtype) * block_elements(dtype);
}

/// Bytes of one value; 0 for a type whose values do not begin on whole bytes of their own.
constexpr std::uint32_t element_bytes(DType dtype) {
    return block_elements(dtype) == 1 ? block_bytes(dtype) : 0;
}

/// Types whose values the project can compute with: F64, F32, F16, BF16.
constexpr bool is_arithmetic(DType dtype) {
    return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 ||
           dtype == DType::bf16;
}

static_assert(find_dtype("BF16") == DType::bf16);
static_assert(!find_dtype("F31") && !find_safetensors_dtype("Q4_K"));
static_assert(to_string(DType::q2_0) == "Q2_0" && block_bytes(DType::q6_k) == 210);
static_assert(to_string(DType::u64) == "U64" && count_elements(DType::f6_e2m3, 3) == 4);

}  // namespace anamnesis
