// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

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

bool has_blocks(std::uint64_t rows, std::uint64_t block, std::uint64_t count) {
    return block != 0 && rows / block + (rows % block != 0 ? 1U : 0U) == count;
}

/// `weight_block_size` of the stated quantisation: rows and columns of a block.
std::vector<std::uint64_t> find_declared_blocks(const Json& config) {
    std::vector<std::uint64_t> sizes;
    const Json* quantization = ConfigReader(config).find("quantization_config");
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
                                        std::optional<std::uint64_t> declared) {
    if (declared && has_blocks(size, *declared, count)) {
        return declared;
    }
    if (count == size) {
        return 1;
    }
    if (count == 1) {
        return size;
    }
    return has_blocks(size, deepseek_block, count) ? std::optional(deepseek_block) : std::nullopt;
}

const TensorEntry* find_scale_tensor(const Checkpoint& checkpoint, std::string_view weight_name) {
    for (const std::string_view suffix : {"_scale_inv", "_scale"}) {
        if (const TensorEntry* scale = checkpoint.find(format("{}{}", weight_name, suffix))) {
            return scale;
        }
    }
    return nullptr;
}

}  // namespace

std::optional<ScaleTensor> find_scale(const Checkpoint& checkpoint, std::string_view weight_name) {
    const TensorEntry* weight = checkpoint.find(weight_name);
    const TensorEntry* scale = find_scale_tensor(checkpoint, weight_name);
    if (weight == nullptr || scale == nullptr) {
        return std::nullopt;
    }
    const std::uint64_t rows = weight->rows();
    const std::uint64_t columns = weight->columns();
    if (find_element_count(scale->shape) == 1U) {
        return ScaleTensor{.tensor = scale, .rows_per_block = rows, .columns_per_block = columns};
    }
    const std::vector<std::uint64_t> declared = find_declared_blocks(checkpoint.config());
    const auto declared_at = [&](std::size_t i) {
        return i < declared.size() ? std::optional(declared[i]) : std::nullopt;
    };
    const auto row_block = find_block(rows, scale->rows(), declared_at(0));
    const auto column_block = find_block(columns, scale->columns(), declared_at(1));
    // A scale of a stack of matrices ([experts, rows, 1]) is read as rows of rows.
    const bool is_stack = weight->shape.size() > 2;
    if (!row_block || (!column_block && !is_stack)) {
        throw Error(
            ErrorKind::mismatch,
            format("tensor {} has shape {}, which fits no block size for the {} rows and {} "
                   "columns of {}{}",
                   in_quotes(scale->name),
                   anamnesis::to_string(scale->shape),
                   rows,
                   columns,
                   in_quotes(weight_name),
                   declared.empty()
                       ? format("; the config.json of {} has no quantization_config with a "
                                "weight_block_size, without which blocks are taken for {} by {}: "
                                "put the one back that the checkpoint was saved with",
                                in_quotes(checkpoint.path().string(), 1000),
                                deepseek_block,
                                deepseek_block)
                       : std::string()));
    }
    return ScaleTensor{.tensor = scale,
                       .rows_per_block = *row_block,
                       .columns_per_block = column_block.value_or(0)};
}

}  // namespace anamnesis::checkpoint
