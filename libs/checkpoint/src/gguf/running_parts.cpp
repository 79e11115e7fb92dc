// SPDX-License-Identifier: Apache-2.0
// Tensors that a GGUF file holds in another order than the family's own checkpoints, or cut
// otherwise. Source: llama.cpp, convert_hf_to_gguf and the loaders of src/models.
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/mixers.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "gguf/running_names.hpp"

namespace anamnesis::checkpoint {
namespace {

using Parts = std::vector<StoredPart>;

/// Rows of heads from `first` on, group after group.
void append_heads(Parts& parts,
                  const TensorEntry* tensor,
                  std::uint64_t first,
                  const HeadColumns& heads) {
    for (std::uint64_t row = 0; row < heads.count(); row += heads.width) {
        parts.push_back({.tensor = tensor, .first = first + heads.find(row), .rows = heads.width});
    }
}

/// Qwen3.5 with more value heads than key heads: all that belongs to value heads is reordered, so
/// that the heads of a group lie as far apart as there are groups.
std::optional<StoredTensor> find_reordered(const StoredNames& names, const GatedDeltaSpec& spec) {
    HeadColumns heads{.groups = spec.key_heads,
                      .heads = spec.value_heads / spec.key_heads,
                      .width = spec.value_dim};
    const std::uint64_t keys = 2 * std::uint64_t{spec.key_heads} * spec.key_dim;
    const std::string_view role = names.role();
    const Parts plain = names.find_parts();
    if (plain.empty()) {
        return std::nullopt;
    }
    const TensorEntry* tensor = plain.front().tensor;
    StoredTensor found;
    if (role == role::query_key_value || role == role::kernel) {
        found.parts = {{.tensor = tensor, .rows = keys}};
        append_heads(found.parts, tensor, keys, heads);
    } else if (role == role::output_gate) {
        append_heads(found.parts, tensor, 0, heads);
    } else if (role == role::learning_rate || role == role::step || role == role::step_bias ||
               role == role::log_rate) {
        heads.width = 1;
        append_heads(found.parts, tensor, 0, heads);
    } else if (role == role::output) {
        found = {.parts = plain, .columns = heads};
    } else {
        return std::nullopt;
    }
    return found;
}

/// Qwen3-Next's own rows are, key head by key head, its query, its key, the values and the output
/// gates of its value heads; a file has all queries, keys and values, and the gates elsewhere.
std::optional<StoredTensor> find_grouped(const StoredNames& names, const GatedDeltaSpec& spec) {
    const TensorEntry* rows = names.find("attn_qkv");
    const TensorEntry* gates = names.find("attn_gate");
    if (names.role() != role::query_key_value_gate || rows == nullptr || gates == nullptr) {
        return std::nullopt;
    }
    const std::uint64_t keys = std::uint64_t{spec.key_heads} * spec.key_dim;
    const std::uint64_t values = std::uint64_t{spec.value_heads} / spec.key_heads * spec.value_dim;
    StoredTensor found;
    for (std::uint64_t head = 0; head < spec.key_heads; ++head) {
        const std::uint64_t key = head * spec.key_dim;
        found.parts.push_back({.tensor = rows, .first = key, .rows = spec.key_dim});
        found.parts.push_back({.tensor = rows, .first = keys + key, .rows = spec.key_dim});
        found.parts.push_back({.tensor = rows, .first = 2 * keys + head * values, .rows = values});
        found.parts.push_back({.tensor = gates, .first = head * values, .rows = values});
    }
    return found;
}

/// kv_b_proj is cut into the key rows of each head, transposed, and its value rows.
std::optional<StoredTensor> find_key_values(const StoredNames& names,
                                            const LatentAttentionSpec& spec) {
    const TensorEntry* keys = names.find("attn_k_b");
    const TensorEntry* values = names.find("attn_v_b");
    if (names.role() != role::key_value || keys == nullptr || values == nullptr) {
        return std::nullopt;
    }
    StoredTensor found;
    for (std::uint64_t head = 0; head < spec.heads; ++head) {
        found.parts.push_back({.tensor = keys,
                               .first = head * spec.kv_rank,
                               .rows = spec.nope_dim,
                               .is_transposed = true});
        found.parts.push_back(
            {.tensor = values, .first = head * spec.value_dim, .rows = spec.value_dim});
    }
    return found;
}

/// gpt-oss: experts [inputs, outputs], whose gates and ups alternate.
std::optional<StoredTensor> find_transposed(const StoredNames& names,
                                            const PlannedTensor& planned,
                                            const MixtureSpec& spec) {
    const bool is_up = names.role() == role::experts_gate_up;
    const TensorEntry* tensor = names.find(is_up ? "ffn_gate_exps" : "ffn_down_exps");
    const TensorEntry* partner = is_up ? names.find("ffn_up_exps") : nullptr;
    if ((!is_up && names.role() != role::experts_down) || tensor == nullptr ||
        (is_up && partner == nullptr)) {
        return std::nullopt;
    }
    if (planned.shape.size() == 2) {
        return StoredTensor{.parts = {{.tensor = tensor, .partner = partner}}};
    }
    const std::uint64_t rows = planned.shape[1];
    const std::uint64_t outputs = planned.shape[2] / (is_up ? 2 : 1);
    StoredTensor found;
    for (std::uint64_t expert = 0; expert < spec.experts; ++expert) {
        found.parts.push_back({.tensor = tensor,
                               .first = expert * outputs,
                               .rows = rows,
                               .partner = partner,
                               .is_transposed = true});
    }
    return found;
}

std::optional<StoredTensor> find_reformed(const StoredNames& names,
                                          const PlannedTensor& planned,
                                          const LayerSpec& spec) {
    const auto* mixture = std::get_if<MixtureSpec>(&spec.feed_forward);
    if (mixture != nullptr && mixture->layout == ExpertLayout::transposed &&
        names.role().starts_with("experts")) {
        return find_transposed(names, planned, *mixture);
    }
    if (const auto* delta = std::get_if<GatedDeltaSpec>(&spec.mixer)) {
        const bool is_reordered =
            delta->projections == DeltaProjections::plain && delta->key_heads != delta->value_heads;
        return is_reordered ? find_reordered(names, *delta) : find_grouped(names, *delta);
    }
    const auto* latent = std::get_if<LatentAttentionSpec>(&spec.mixer);
    return latent == nullptr ? std::nullopt : find_key_values(names, *latent);
}

}  // namespace

StoredTensor find_stored(const Checkpoint& file,
                         const Blueprint& blueprint,
                         const PlannedTensor& planned,
                         bool adds_one_to_gains) {
    const StoredNames names(file, planned);
    std::optional<StoredTensor> reformed;
    if (planned.layer && planned.layer->value < blueprint.specs.size()) {
        reformed = find_reformed(names, planned, blueprint.specs[planned.layer->value]);
    }
    StoredTensor found =
        reformed ? *std::move(reformed) : StoredTensor{.parts = names.find_parts()};
    const bool is_gain = planned.role.ends_with("norm") && names.role() != role::output_norm;
    if (adds_one_to_gains && is_gain && blueprint.gain == Gain::offset) {
        found.form = StoredForm::plus_one;
    } else if (names.role() == role::log_rate) {
        found.form = StoredForm::negative_rate;
    }
    return found;
}

}  // namespace anamnesis::checkpoint
