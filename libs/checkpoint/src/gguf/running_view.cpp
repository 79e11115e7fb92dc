// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Architectures whose layers are plain softmax attention and dense feed-forwards, stored as they
/// compute.
constexpr std::array<std::string_view, 3> running{"llama", "qwen2", "qwen3"};

/// The values of a stored tensor as float32, its rows perhaps in another order.
class StoredValues final : public ComputedTensor {
public:
    /// `head_rows`: rows of a head whose halves are interleaved in the file; 0: rows as they are.
    StoredValues(TensorEntry stored, std::uint64_t head_rows)
        : stored_(std::move(stored)), head_rows_(head_rows) {}

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        const std::uint64_t row_bytes = stored_.columns() * sizeof(float);
        ANAMNESIS_CHECK(begin % row_bytes == 0 && target.size() % row_bytes == 0,
                        "whole rows are read");
        std::vector<std::byte> blocks(stored_.row_bytes());
        std::vector<float> values(stored_.columns());
        for (std::uint64_t done = 0; done < target.size(); done += row_bytes) {
            stored_.read_at(find_stored_row((begin + done) / row_bytes) * blocks.size(), blocks);
            read_row(blocks, values);
            std::memcpy(target.data() + done, values.data(), row_bytes);
        }
    }

private:
    std::uint64_t find_stored_row(std::uint64_t row) const {
        if (head_rows_ == 0) {
            return row;
        }
        const std::uint64_t half = head_rows_ / 2;
        const std::uint64_t within = row % head_rows_;
        return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    }

    void read_row(std::span<const std::byte> blocks, std::span<float> values) const {
        if (!is_arithmetic(stored_.dtype)) {
            dequantise(stored_.dtype, blocks, values);
            return;
        }
        std::vector<double> wide(values.size());
        widen(stored_.dtype, blocks, wide);
        std::ranges::transform(
            wide, values.begin(), [](double value) { return static_cast<float>(value); });
    }

    TensorEntry stored_;
    std::uint64_t head_rows_;
};

/// The name in the file of a tensor of a running family.
std::optional<std::string> find_stored_name(std::string_view canonical) {
    if (auto known = find_gguf_name(canonical)) {
        return known;
    }
    constexpr std::array<std::pair<std::string_view, std::string_view>, 9> inner{{
        {"self_attn.q_proj.weight", "attn_q.weight"},
        {"self_attn.k_proj.weight", "attn_k.weight"},
        {"self_attn.v_proj.weight", "attn_v.weight"},
        {"self_attn.q_proj.bias", "attn_q.bias"},
        {"self_attn.k_proj.bias", "attn_k.bias"},
        {"self_attn.v_proj.bias", "attn_v.bias"},
        {"self_attn.q_norm.weight", "attn_q_norm.weight"},
        {"self_attn.k_norm.weight", "attn_k_norm.weight"},
        {"post_attention_layernorm.weight", "ffn_norm.weight"},
    }};
    const auto numbered = find_numbered(canonical);
    const auto found = std::ranges::find(inner,
                                         numbered ? numbered->rest : std::string_view(),
                                         [](const auto& pair) { return pair.first; });
    return found == inner.end()
               ? std::nullopt
               : std::optional(format("blk.{}.{}", numbered->number, found->second));
}

bool has_interleaved_rows(std::string_view canonical) {
    return canonical.find(".q_proj.") != std::string_view::npos ||
           canonical.find(".k_proj.") != std::string_view::npos;
}

TensorEntry make_entry(const TensorEntry& stored, std::string name, std::uint64_t head_rows) {
    TensorEntry entry = stored;
    entry.name = std::move(name);
    const bool is_plain = is_arithmetic(stored.dtype) && head_rows == 0;
    if (!is_plain) {
        if (!is_arithmetic(stored.dtype) && !can_dequantise(stored.dtype)) {
            throw Error(
                ErrorKind::unsupported,
                format("tensor {} is {}, whose values need a codebook that is not known here",
                       in_quotes(stored.name),
                       anamnesis::to_string(stored.dtype)));
        }
        entry.computed = std::make_shared<StoredValues>(stored, head_rows);
        entry.dtype = DType::f32;
        entry.bytes = stored.rows() * stored.columns() * sizeof(float);
    }
    return entry;
}

}  // namespace

Json make_running_config(const Checkpoint& file) {
    Json config = file.config();
    config.set("tie_word_embeddings", file.find("output.weight") == nullptr);
    Json ends = Json::array();
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
        if (const auto id = file.gguf()->metadata.find_count(key)) {
            ends.push_back(*id);
        }
    }
    config.set("eos_token_id", std::move(ends));
    return config;
}

RecognisedCheckpoint view_for_running(const Checkpoint& file) {
    const std::string name = file.gguf()->architecture();
    const GgufArchitecture* architecture = find_gguf_architecture(name);
    if (architecture == nullptr || std::ranges::find(running, name) == running.end()) {
        throw Error(ErrorKind::unsupported,
                    format("GGUF files of architecture {} do not run here; give the safetensors "
                           "checkpoint that the file was made from",
                           in_quotes(name)));
    }
    const Json config = make_running_config(file);
    const Blueprint blueprint = make_blueprint(config);
    const std::uint64_t head_rows =
        architecture->interleaves_rows && blueprint.heads ? blueprint.heads->head_dim : 0;
    std::vector<TensorEntry> tensors;
    for (const PlannedTensor& planned : blueprint.tensors) {
        const std::optional<std::string> stored_name = find_stored_name(planned.name);
        const TensorEntry* stored = stored_name ? file.find(*stored_name) : nullptr;
        if (stored != nullptr) {
            tensors.push_back(
                make_entry(*stored,
                           (planned.is_in_body ? blueprint.prefix : std::string()) + planned.name,
                           has_interleaved_rows(planned.name) ? head_rows : 0));
        }
    }
    RecognisedCheckpoint view;
    view.checkpoint = file.with_tensors(std::move(tensors), nullptr).with_config(config);
    view.model = recognise(view.checkpoint, {});
    return view;
}

}  // namespace anamnesis::checkpoint
