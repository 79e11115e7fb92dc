// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::uint64_t deepseek_block = 128;
/// Columns of a block of the OCP microscaling formats (MX), of which E8M0 is the scale.
constexpr std::uint64_t microscaling_block = 32;

bool has_blocks(std::uint64_t rows, std::uint64_t block, std::uint64_t count) {
    return block != 0 && rows / block + (rows % block != 0 ? 1U : 0U) == count;
}

/// What config.json states of the quantisation; null: nothing.
const Json* find_quantisation(const Json& config) {
    return ConfigReader(config).find("quantization_config");
}

/// `weight_block_size` of the stated quantisation: rows and columns of a block.
std::vector<std::uint64_t> find_declared_blocks(const Json& config) {
    std::vector<std::uint64_t> sizes;
    const Json* quantization = find_quantisation(config);
    const Json* block = quantization == nullptr ? nullptr : quantization->find("weight_block_size");
    if (block != nullptr && !block->is_null()) {
        for (const Json& size : block->as_array("weight_block_size")) {
            sizes.push_back(count_from(size, "weight_block_size"));
        }
    }
    return sizes;
}

/// How many of `size` rows or columns share one of `count` scales; nothing where none fits.
std::optional<std::uint64_t> find_block(std::uint64_t size,
                                        std::uint64_t count,
                                        std::optional<std::uint64_t> declared,
                                        bool may_be_microscaling = false) {
    if (declared && has_blocks(size, *declared, count)) {
        return declared;
    }
    if (count == size) {
        return 1;
    }
    if (count == 1) {
        return size;
    }
    if (may_be_microscaling && has_blocks(size, microscaling_block, count)) {
        return microscaling_block;
    }
    return has_blocks(size, deepseek_block, count) ? std::optional(deepseek_block) : std::nullopt;
}

/// Errors: `mismatch` for a weight with scales under both names, of which nothing says which one a
/// loader takes; a repair would bring one of them and leave the other.
const TensorEntry* find_scale_tensor(const Checkpoint& checkpoint, std::string_view weight_name) {
    const TensorEntry* inverse = checkpoint.find(format("{}_scale_inv", weight_name));
    const TensorEntry* plain = checkpoint.find(format("{}_scale", weight_name));
    if (inverse != nullptr && plain != nullptr) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} has two scales, {} and {}, and which one counts is not "
                           "known: remove the one that the model's loader does not read",
                           in_quotes(weight_name),
                           in_quotes(inverse->name),
                           in_quotes(plain->name)));
    }
    return inverse != nullptr ? inverse : plain;
}

/// Whether U8 holds the exponents of powers of two: where config.json says so, and in the blocks of
/// 1 by 32 that no other format has.
bool holds_exponents(const Checkpoint& checkpoint, const ScaleTensor& scale) {
    const Json* quantization = find_quantisation(checkpoint.config());
    const Json* format = quantization == nullptr ? nullptr : quantization->find("scale_fmt");
    const bool is_stated =
        format != nullptr && format->is_string() && format->as_string("scale_fmt") == "ue8m0";
    return is_stated ||
           (scale.rows_per_block == 1 && scale.columns_per_block == microscaling_block);
}

/// Scales of rows are [rows, 1] in every published format (compressed-tensors calls them those of
/// channels). Of a square matrix [1, n] may be these, turned, or scales of columns.
bool may_be_turned(const TensorEntry& weight, const TensorEntry& scale) {
    return weight.rows() == weight.columns() && scale.rows() == 1 &&
           scale.columns() == weight.columns();
}

std::optional<DType> find_value_type(const Checkpoint& checkpoint, const ScaleTensor& scale) {
    const DType dtype = scale.tensor->dtype;
    if (dtype == DType::u8 && holds_exponents(checkpoint, scale)) {
        return DType::f8_e8m0;
    }
    return is_arithmetic(dtype) || dtype == DType::f8_e8m0 ? std::optional(dtype) : std::nullopt;
}

[[noreturn]] void refuse_shape(const Checkpoint& checkpoint,
                               const TensorEntry& weight,
                               const TensorEntry& scale,
                               bool is_declared) {
    const bool is_exponent = scale.dtype == DType::u8 || scale.dtype == DType::f8_e8m0;
    const std::string taken =
        is_exponent
            ? format("1 by {} or {} by {}", microscaling_block, deepseek_block, deepseek_block)
            : format("{} by {}", deepseek_block, deepseek_block);
    const bool is_turned = scale.rows() == 1 && scale.columns() == weight.rows();
    throw Error(
        ErrorKind::mismatch,
        format("tensor {} has shape {}, which fits no block size for the {} rows and {} columns "
               "of {}{}",
               in_quotes(scale.name),
               anamnesis::to_string(scale.shape),
               weight.rows(),
               weight.columns(),
               in_quotes(weight.name),
               is_turned     ? format("; scales of rows are [{}, 1]: save them so", weight.rows())
               : is_declared ? std::string()
                             : format("; the config.json of {} has no quantization_config with a "
                                      "weight_block_size, without which blocks are taken for {}: "
                                      "put the one back that the checkpoint was saved with",
                                      in_quotes(checkpoint.path().string(), 1000),
                                      taken)));
}

}  // namespace

std::optional<ScaleTensor> find_scale(const Checkpoint& checkpoint, std::string_view weight_name) {
    const TensorEntry* weight = checkpoint.find(weight_name);
    const TensorEntry* scale = find_scale_tensor(checkpoint, weight_name);
    if (weight == nullptr || scale == nullptr) {
        return std::nullopt;
    }
    ScaleTensor found{
        .tensor = scale, .rows_per_block = weight->rows(), .columns_per_block = weight->columns()};
    if (find_element_count(scale->shape) != 1U) {
        const std::vector<std::uint64_t> declared = find_declared_blocks(checkpoint.config());
        const auto declared_at = [&](std::size_t i) {
            return i < declared.size() ? std::optional(declared[i]) : std::nullopt;
        };
        const bool is_exponent = scale->dtype == DType::u8 || scale->dtype == DType::f8_e8m0;
        const auto row_block = find_block(weight->rows(), scale->rows(), declared_at(0));
        const auto column_block = find_block(weight->columns(),
                                             scale->columns(),
                                             declared_at(1),
                                             is_exponent && row_block == std::uint64_t{1});
        // A scale of a stack of matrices ([experts, rows, 1]) is read as rows of rows.
        const bool is_stack = weight->shape.size() > 2;
        if (!row_block || (!column_block && !is_stack)) {
            refuse_shape(checkpoint, *weight, *scale, !declared.empty());
        }
        found.rows_per_block = *row_block;
        found.columns_per_block = column_block.value_or(0);
        const bool is_stated = declared_at(0) == row_block && declared_at(1) == column_block;
        found.is_ambiguous = !is_stack && !is_stated && may_be_turned(*weight, *scale);
    }
    if (!found.is_ambiguous) {
        found.value_type = find_value_type(checkpoint, found);
    }
    return found;
}

std::string describe_unreadable(const ScaleTensor& scale) {
    if (scale.value_type) {
        return {};
    }
    if (scale.is_ambiguous) {
        const std::uint64_t size = scale.tensor->columns();
        return format(
            "scale tensor {} has shape {}, and its matrix is square: nothing says whether it "
            "scales rows or columns; scales of rows are [{}, 1], so save them so, or have "
            "weight_block_size [{}, 1] in quantization_config for scales of columns",
            in_quotes(scale.tensor->name),
            anamnesis::to_string(scale.tensor->shape),
            size,
            size);
    }
    return format(
        "scale tensor {} is {} with shape {}: scales are read from F64, F32, F16, BF16 "
        "and F8_E8M0, and from U8 as exponents of 2 where blocks are 1 by {} (MXFP8) or "
        "config.json has scale_fmt ue8m0; save the checkpoint again with such scales, or "
        "dequantise it first",
        in_quotes(scale.tensor->name),
        anamnesis::to_string(scale.tensor->dtype),
        anamnesis::to_string(scale.tensor->shape),
        microscaling_block);
}

}  // namespace anamnesis::checkpoint
