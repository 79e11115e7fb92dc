// SPDX-License-Identifier: Apache-2.0
#include "gguf/types.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::formats {
namespace {

struct ValueType {
    GgufType type;
    std::string_view name;
    std::uint32_t bytes;
};

constexpr std::array value_types{
    ValueType{GgufType::u8, "u8", 1},
    ValueType{GgufType::i8, "i8", 1},
    ValueType{GgufType::u16, "u16", 2},
    ValueType{GgufType::i16, "i16", 2},
    ValueType{GgufType::u32, "u32", 4},
    ValueType{GgufType::i32, "i32", 4},
    ValueType{GgufType::f32, "f32", 4},
    ValueType{GgufType::boolean, "bool", 1},
    ValueType{GgufType::string, "string", 0},
    ValueType{GgufType::array, "array", 0},
    ValueType{GgufType::u64, "u64", 8},
    ValueType{GgufType::i64, "i64", 8},
    ValueType{GgufType::f64, "f64", 8},
};

struct TensorType {
    std::uint32_t number;
    DType dtype;
};

/// Source: ggml.h, `enum ggml_type`, ggml 0.25.
constexpr std::array tensor_types{
    TensorType{0, DType::f32},     TensorType{1, DType::f16},      TensorType{2, DType::q4_0},
    TensorType{3, DType::q4_1},    TensorType{6, DType::q5_0},     TensorType{7, DType::q5_1},
    TensorType{8, DType::q8_0},    TensorType{9, DType::q8_1},     TensorType{10, DType::q2_k},
    TensorType{11, DType::q3_k},   TensorType{12, DType::q4_k},    TensorType{13, DType::q5_k},
    TensorType{14, DType::q6_k},   TensorType{15, DType::q8_k},    TensorType{16, DType::iq2_xxs},
    TensorType{17, DType::iq2_xs}, TensorType{18, DType::iq3_xxs}, TensorType{19, DType::iq1_s},
    TensorType{20, DType::iq4_nl}, TensorType{21, DType::iq3_s},   TensorType{22, DType::iq2_s},
    TensorType{23, DType::iq4_xs}, TensorType{24, DType::i8},      TensorType{25, DType::i16},
    TensorType{26, DType::i32},    TensorType{27, DType::i64},     TensorType{28, DType::f64},
    TensorType{29, DType::iq1_m},  TensorType{30, DType::bf16},    TensorType{34, DType::tq1_0},
    TensorType{35, DType::tq2_0},  TensorType{39, DType::mxfp4},   TensorType{40, DType::nvfp4},
    TensorType{41, DType::q1_0},   TensorType{42, DType::q2_0},
};

constexpr std::array<std::uint32_t, 8> removed{4, 5, 31, 32, 33, 36, 37, 38};

}  // namespace

std::string_view to_string(GgufType type) noexcept {
    const auto* const found = std::ranges::find(value_types, type, &ValueType::type);
    return found == value_types.end() ? "?" : found->name;
}

std::uint32_t find_value_bytes(GgufType type) {
    const auto* const found = std::ranges::find(value_types, type, &ValueType::type);
    return found == value_types.end() ? 0 : found->bytes;
}

std::optional<GgufType> find_gguf_type(std::uint32_t number) {
    return number < value_types.size() ? std::optional(value_types.at(number).type) : std::nullopt;
}

std::optional<DType> find_gguf_dtype(std::uint32_t number) {
    const auto* const found = std::ranges::find(tensor_types, number, &TensorType::number);
    return found == tensor_types.end() ? std::nullopt : std::optional(found->dtype);
}

bool is_removed_gguf_dtype(std::uint32_t number) {
    return std::ranges::find(removed, number) != removed.end();
}

}  // namespace anamnesis::formats
