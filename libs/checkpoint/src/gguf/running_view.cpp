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
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
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

/// Which rows of a stored tensor make a tensor of the family's.
struct RowChoice {
    std::uint64_t first = 0;
    std::uint64_t rows = 0;
    std::uint64_t head_rows = 0;  ///< of a head whose halves are interleaved; 0: rows as they are
};

/// Rows of a stored tensor: quantised ones as float32, others as they are.
class ChosenRows final : public ComputedTensor {
public:
    ChosenRows(TensorEntry stored, const RowChoice& choice)
        : stored_(std::move(stored)), choice_(choice), is_plain_(is_arithmetic(stored_.dtype)) {}

    std::uint64_t row_bytes() const {
        return is_plain_ ? stored_.row_bytes() : stored_.columns() * sizeof(float);
    }

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        const std::uint64_t size = row_bytes();
        ANAMNESIS_CHECK(begin % size == 0 && target.size() % size == 0, "whole rows are read");
        std::vector<std::byte> blocks(stored_.row_bytes());
        std::vector<float> values(is_plain_ ? 0 : stored_.columns());
        for (std::uint64_t done = 0; done < target.size(); done += size) {
            stored_.read_at(find_stored_row((begin + done) / size) * blocks.size(), blocks);
            if (!is_plain_) {
                dequantise(stored_.dtype, blocks, values);
            }
            std::memcpy(target.data() + done,
                        is_plain_ ? static_cast<const void*>(blocks.data()) : values.data(),
                        size);
        }
    }

private:
    std::uint64_t find_stored_row(std::uint64_t row) const {
        if (choice_.head_rows == 0) {
            return choice_.first + row;
        }
        const std::uint64_t half = choice_.head_rows / 2;
        const std::uint64_t within = row % choice_.head_rows;
        return choice_.first + row - within +
               (within < half ? 2 * within : 2 * (within - half) + 1);
    }

    TensorEntry stored_;
    RowChoice choice_;
    bool is_plain_;
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

TensorEntry make_entry(const TensorEntry& stored, std::string name, const RowChoice& choice) {
    TensorEntry entry = stored;
    entry.name = std::move(name);
    entry.was_quantised = !is_arithmetic(stored.dtype);
    if (entry.was_quantised && !can_dequantise(stored.dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} is {}, whose values need a codebook that is not known here",
                           in_quotes(stored.name),
                           anamnesis::to_string(stored.dtype)));
    }
    const bool is_whole =
        choice.first == 0 && choice.rows == stored.rows() && choice.head_rows == 0;
    if (is_whole && !entry.was_quantised) {
        return entry;
    }
    const auto rows = std::make_shared<ChosenRows>(stored, choice);
    entry.dtype = entry.was_quantised ? DType::f32 : stored.dtype;
    entry.shape.front() = choice.rows;
    entry.bytes = choice.rows * rows->row_bytes();
    entry.computed = rows;
    return entry;
}

/// Chooses for each tensor that a blueprint plans what a file has of it.
class ViewMaker {
public:
    ViewMaker(const Checkpoint& file, const Blueprint& blueprint, bool interleaves_rows)
        : file_(file),
          blueprint_(blueprint),
          head_rows_(interleaves_rows && blueprint.heads ? blueprint.heads->head_dim : 0) {}

    std::vector<TensorEntry> make() const {
        std::vector<TensorEntry> tensors;
        for (const PlannedTensor& planned : blueprint_.tensors) {
            const std::string name =
                (planned.is_in_body ? blueprint_.prefix : std::string()) + planned.name;
            const std::optional<std::string> stored_name = find_stored_name(planned.name);
            const TensorEntry* stored = stored_name ? file_.find(*stored_name) : nullptr;
            if (stored != nullptr) {
                tensors.push_back(make_entry(
                    *stored, name, {.rows = stored->rows(), .head_rows = find_head_rows(planned)}));
            } else if (const auto fused = find_fused(planned, stored_name)) {
                tensors.push_back(make_entry(*fused->first, name, fused->second));
            }
        }
        return tensors;
    }

private:
    std::uint64_t find_head_rows(const PlannedTensor& planned) const {
        return has_interleaved_rows(planned.name) ? head_rows_ : 0;
    }

    /// A part of blk.N.attn_qkv, which is [Q; K; V].
    std::optional<std::pair<const TensorEntry*, RowChoice>> find_fused(
        const PlannedTensor& planned, const std::optional<std::string>& stored_name) const {
        if (!stored_name || !blueprint_.heads) {
            return std::nullopt;
        }
        const HeadLayout& heads = *blueprint_.heads;
        const std::uint64_t queries = std::uint64_t{heads.query_heads} * heads.head_dim;
        const std::uint64_t keys = std::uint64_t{heads.kv_heads} * heads.head_dim;
        for (const auto& [part, first, rows] : {std::tuple(".attn_q.", std::uint64_t{0}, queries),
                                                std::tuple(".attn_k.", queries, keys),
                                                std::tuple(".attn_v.", queries + keys, keys)}) {
            const std::size_t at = stored_name->find(part);
            if (at == std::string::npos) {
                continue;
            }
            std::string fused = *stored_name;
            fused.replace(at, std::string_view(part).size(), ".attn_qkv.");
            const TensorEntry* stored = file_.find(fused);
            if (stored != nullptr && first + rows <= stored->rows()) {
                return std::pair(
                    stored,
                    RowChoice{.first = first, .rows = rows, .head_rows = find_head_rows(planned)});
            }
        }
        return std::nullopt;
    }

    const Checkpoint& file_;
    const Blueprint& blueprint_;
    std::uint64_t head_rows_;
};

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
    std::vector<TensorEntry> tensors =
        ViewMaker(file, blueprint, architecture->interleaves_rows).make();
    RecognisedCheckpoint view;
    view.checkpoint = file.with_tensors(std::move(tensors), nullptr).with_config(config);
    view.model = recognise(view.checkpoint, {});
    return view;
}

}  // namespace anamnesis::checkpoint
