// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <optional>
#include <string_view>

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

std::optional<std::uint64_t> find_declared_block(const Json& config) {
    const Json* quantization = ConfigReader(config).find("quantization_config");
    const Json* block = quantization == nullptr ? nullptr : quantization->find("weight_block_size");
    if (block == nullptr || block->is_null() || block->as_array("weight_block_size").empty()) {
        return std::nullopt;
    }
    return count_from(block->as_array("weight_block_size").front(), "weight_block_size");
}

}  // namespace

std::optional<ScaleTensor> find_scale(const Checkpoint& checkpoint, std::string_view weight_name) {
    const TensorEntry* weight = checkpoint.find(weight_name);
    const TensorEntry* scale = nullptr;
    for (const std::string_view suffix : {"_scale_inv", "_scale"}) {
        if (scale == nullptr) {
            scale = checkpoint.find(format("{}{}", weight_name, suffix));
        }
    }
    if (weight == nullptr || scale == nullptr) {
        return std::nullopt;
    }
    const std::uint64_t rows = weight->rows();
    const std::uint64_t count = scale->rows();
    if (find_element_count(scale->shape) == 1U && count == 1 &&
        !find_declared_block(checkpoint.config())) {
        return ScaleTensor{.tensor = scale, .rows_per_block = rows};
    }
    if (const auto block = find_declared_block(checkpoint.config());
        block && has_blocks(rows, *block, count)) {
        return ScaleTensor{.tensor = scale, .rows_per_block = *block};
    }
    if (count == rows) {
        return ScaleTensor{.tensor = scale, .rows_per_block = 1};
    }
    if (count == 1) {
        return ScaleTensor{.tensor = scale, .rows_per_block = rows};
    }
    if (has_blocks(rows, deepseek_block, count)) {
        return ScaleTensor{.tensor = scale, .rows_per_block = deepseek_block};
    }
    throw Error(ErrorKind::mismatch,
                format("tensor {} has shape {}, which fits no block size for the {} rows of {}",
                       in_quotes(scale->name),
                       to_string(scale->shape),
                       rows,
                       in_quotes(weight_name)));
}

}  // namespace anamnesis::checkpoint
