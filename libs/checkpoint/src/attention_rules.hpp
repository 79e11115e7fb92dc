// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

namespace anamnesis::checkpoint {

inline constexpr std::string_view verified = "verified";
inline constexpr std::string_view from_source = "read from source";
inline constexpr std::string_view from_memory = "from memory, confirmed by the shapes";

/// What a library fills in for head keys that config.json leaves out; 0: nothing.
struct HeadDefaults {
    std::uint32_t query_heads = 0;
    std::uint32_t kv_heads = 0;  ///< 0: as many as query heads
    std::uint32_t head_dim = 0;  ///< 0: hidden_size / query heads
    std::uint32_t hidden_size = 0;
};

std::uint32_t read_hidden_size(const ConfigReader& config, std::uint32_t fallback = 0);

/// Errors: `malformed` for heads that cannot divide.
HeadLayout read_heads(const ConfigReader& config, const HeadDefaults& defaults = {});
HeadLayout check_heads(HeadLayout heads);

/// "layers.{layer}." and `part`.
std::string in_layer(std::string_view part);

/// How the query rows of a q_proj lie.
enum class QueryRows : std::uint8_t {
    plain,
    with_gates,  ///< query and output gate of one head, then of the next (Qwen3-Next)
};

/// q_proj, k_proj, v_proj, or whatever they are called, and their biases under `module`.
struct SeparateProjections {
    std::string_view module = "self_attn";
    std::string_view query = "q_proj";
    std::string_view key = "k_proj";
    std::string_view value = "v_proj";
    std::optional<HeadLayout> heads{};  ///< absent: rows of no single head
    std::uint64_t columns = 0;          ///< 0: not checked
    QueryRows query_rows = QueryRows::plain;
    Presence bias = Presence::absent;
};
void add(Blueprint& blueprint, const SeparateProjections& projections);

/// q_norm and k_norm, or whatever they are called, under `module`.
struct QkNorms {
    std::string_view module = "self_attn";
    std::string_view query = "q_norm";
    std::string_view key = "k_norm";
    QkNorm kind = QkNorm::per_head;
};
void add(Blueprint& blueprint, const QkNorms& norms);

/// One tensor for queries, keys and values.
struct FusedProjection {
    std::string_view module = "self_attn.qkv_proj";
    RowLayout layout{};
    std::uint64_t columns = 0;
    Presence bias = Presence::absent;
};
void add(Blueprint& blueprint, const FusedProjection& projection);

/// All queries, all keys, all values.
RowLayout make_query_key_value_blocks(const HeadLayout& heads);
/// The queries of one key-value head, its key, its value; then of the next.
RowLayout group_by_kv_head(const HeadLayout& heads);

/// Multi-head latent attention: widths of DeepSeek-V2.
struct LatentAttention {
    std::string_view module = "self_attn";
    std::uint32_t heads = 0;
    std::uint32_t nope_dim = 0;
    std::uint32_t rope_dim = 0;
    std::uint32_t value_dim = 0;
    std::uint32_t kv_rank = 0;
    std::optional<std::uint32_t> query_rank{};
    std::uint32_t hidden_size = 0;
    Presence bias = Presence::absent;
};
LatentAttention read_latent_attention(const ConfigReader& config, std::string_view module);
/// Also sets the heads.
void add(Blueprint& blueprint, const LatentAttention& attention);

}  // namespace anamnesis::checkpoint
