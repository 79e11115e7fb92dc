// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace anamnesis {

/// Element types of the safetensors format, in its own order (safetensors 0.8, `Dtype`).
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
};

/// How values of a type are stored: in blocks of whole bytes, a plain type one value a block.
struct DTypeRow {
    DType dtype;
    std::string_view name;         ///< as safetensors spells it
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
};

constexpr std::optional<DType> find_dtype(std::string_view name) {
    for (const DTypeRow& row : dtype_table) {
        if (row.name == name) {
            return row.dtype;
        }
    }
    return std::nullopt;
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
static_assert(!find_dtype("F31"));
static_assert(to_string(DType::u64) == "U64" && count_elements(DType::f6_e2m3, 3) == 4);

}  // namespace anamnesis
