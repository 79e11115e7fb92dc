// SPDX-License-Identifier: Apache-2.0
#include "pairing.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "container_view.hpp"

namespace anamnesis::restore {
namespace {

std::string describe(const std::optional<double>& value) {
    return value ? format("{}", *value) : std::string("none");
}

/// Files that a trainer leaves beside what it trained.
bool has_training_traces(const RecognisedCheckpoint& source) {
    for (const char* name : {"trainer_state.json", "training_args.bin", "train_results.json"}) {
        if (std::filesystem::exists(source.checkpoint.folder() / name)) {
            return true;
        }
    }
    return false;
}

/// Whether `source` is a trainer's output whose config names the folder of `base` as its origin. A
/// trainer's files alone say nothing: the base of one fine-tune is the result of another.
bool was_trained_from(const RecognisedCheckpoint& source, const RecognisedCheckpoint& base) {
    const Json* origin = source.checkpoint.config().find("_name_or_path");
    if (!has_training_traces(source) || has_training_traces(base) || origin == nullptr ||
        !origin->is_string()) {
        return false;
    }
    const std::filesystem::path named(origin->as_string("_name_or_path"));
    std::error_code ignored;
    return !named.empty() &&
           (std::filesystem::equivalent(named, base.checkpoint.folder(), ignored) ||
            (named.has_filename() &&
             named.filename() ==
                 std::filesystem::weakly_canonical(base.checkpoint.folder(), ignored).filename()));
}

/// The name of a tensor of a shared block under the layer that the block is stored with, marked so
/// that it meets no name of a file; empty for other tensors.
std::string find_name_with_home(const std::string& canonical,
                                const std::vector<LayerIndex>& homes) {
    constexpr std::string_view module = ".shared_transformer.";
    if (homes.empty()) {
        return {};
    }
    const auto layer = checkpoint::find_layer(canonical);
    const std::size_t at = canonical.find(module);
    if (!layer || layer->value >= homes.size() || at == std::string::npos) {
        return {};
    }
    return format("shared.{}{}", homes[layer->value].value, canonical.substr(at));
}

void compare_positions(const checkpoint::PositionSettings& pre,
                       const checkpoint::PositionSettings& post,
                       const std::string& family,
                       std::vector<std::string>& differences) {
    if (pre.uses_rope != post.uses_rope) {
        differences.push_back(format("rotary position encoding is {} in pre and {} in post",
                                     pre.uses_rope ? "on" : "off",
                                     post.uses_rope ? "on" : "off"));
        return;
    }
    // What the settings mean is compared; how they are spelled is shown.
    const auto find_theta = [](const checkpoint::PositionSettings& position) {
        const Json* theta = position.rope_meaning.find("rope_theta");
        return theta == nullptr ? Json() : *theta;
    };
    const auto without_theta = [](const checkpoint::PositionSettings& position) {
        Json meaning = position.rope_meaning;
        meaning.set("rope_theta", Json());
        return meaning;
    };
    if (pre.uses_rope && !(find_theta(pre) == find_theta(post))) {
        differences.push_back(format("rope_theta is {} in pre and {} in post",
                                     describe(pre.rope_theta),
                                     describe(post.rope_theta)));
    }
    if (pre.uses_rope && !(without_theta(pre) == without_theta(post))) {
        differences.push_back(format("rope scaling is {} in pre and {} in post",
                                     pre.rope_scaling.dump(),
                                     post.rope_scaling.dump()));
    }
    if (pre.uses_rope && pre.partial_rotary_factor != post.partial_rotary_factor) {
        differences.push_back(format("partial_rotary_factor is {} in pre and {} in post",
                                     describe(pre.partial_rotary_factor),
                                     describe(post.partial_rotary_factor)));
    }
    // Gemma's config class fills in 256, Granite's 1.
    const auto find_scale = [&](const checkpoint::PositionSettings& position) {
        return position.attention_scale.value_or(family.starts_with("gemma") ? 1.0 / 16.0 : 1.0);
    };
    if (find_scale(pre) != find_scale(post)) {
        differences.push_back(format("the attention scale is {} in pre and {} in post",
                                     describe(pre.attention_scale),
                                     describe(post.attention_scale)));
    }
}

using Judge = std::function<void(Allowance, const std::string&)>;

/// Position settings, where both sides have a config that tells them.
std::vector<std::byte> read_bytes(const checkpoint::TensorEntry& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    return bytes;
}

/// GGUF files have factors of rotary frequencies as tensors.
void compare_frequencies(const RecognisedCheckpoint& pre,
                         const RecognisedCheckpoint& post,
                         std::vector<std::string>& differences) {
    if (pre.checkpoint.gguf() == nullptr || post.checkpoint.gguf() == nullptr || is_view(pre)) {
        return;
    }
    for (const char* name :
         {"rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"}) {
        const checkpoint::TensorEntry* before = pre.checkpoint.find(name);
        const checkpoint::TensorEntry* after = post.checkpoint.find(name);
        if ((before == nullptr) != (after == nullptr)) {
            differences.push_back(format("{} has factors of rotary frequencies ({}), {} has none",
                                         before != nullptr ? "pre" : "post",
                                         name,
                                         before != nullptr ? "post" : "pre"));
        } else if (before != nullptr && read_bytes(*before) != read_bytes(*after)) {
            differences.push_back(format(
                "the factors of rotary frequencies ({}) are others in pre than in post", name));
        }
    }
}

void compare_configured(const RecognisedCheckpoint& pre,
                        const RecognisedCheckpoint& post,
                        const Judge& judge) {
    const auto lacks_config = [](const RecognisedCheckpoint& source) {
        return source.checkpoint.config().is_null();
    };
    if (lacks_config(pre) != lacks_config(post)) {
        const bool is_pre = lacks_config(pre);
        judge(Allowance::position,
              format("{} has no config.json, so its position settings are not known; if it has "
                     "those of {}, give --config {}",
                     is_pre ? "pre" : "post",
                     is_pre ? "post" : "pre",
                     ((is_pre ? post : pre).checkpoint.folder() / "config.json").string()));
        return;
    }
    std::vector<std::string> positions;
    compare_positions(pre.model.position, post.model.position, post.model.family, positions);
    compare_frequencies(pre, post, positions);
    for (const std::string& difference : positions) {
        judge(Allowance::position, difference);
    }
}

}  // namespace

Pairing::Pairing(const RecognisedCheckpoint& pre, const RecognisedCheckpoint& post) : pre_(&pre) {
    if (post.model.blueprint != nullptr) {
        homes_ = post.model.blueprint->softmax.stored_in;
    }
    const auto name_with_home = [&](const std::string& canonical) {
        return find_name_with_home(canonical, homes_);
    };
    for (const checkpoint::TensorEntry& tensor : pre.checkpoint.tensors()) {
        const std::string canonical = checkpoint::canonical_name(tensor.name);
        by_canonical_name_.emplace(canonical, &tensor);
        if (const std::string home = name_with_home(canonical); !home.empty()) {
            by_canonical_name_.emplace(home, &tensor);
        }
    }
    for (const checkpoint::AttentionTensor& tensor : pre.model.attention) {
        attention_.emplace(tensor.canonical_name, &tensor);
        if (const std::string home = name_with_home(tensor.canonical_name); !home.empty()) {
            attention_.emplace(home, &tensor);
        }
    }
}

const checkpoint::TensorEntry* Pairing::find_pre(const std::string& post_name) const {
    if (const auto* same = pre_->checkpoint.find(post_name)) {
        return same;
    }
    const std::string canonical = checkpoint::canonical_name(post_name);
    auto found = by_canonical_name_.find(canonical);
    if (found == by_canonical_name_.end()) {
        found = by_canonical_name_.find(find_name_with_home(canonical, homes_));
    }
    return found == by_canonical_name_.end() ? nullptr : found->second;
}

const checkpoint::AttentionTensor* Pairing::find_pre_attention(
    const checkpoint::AttentionTensor& post) const {
    auto found = attention_.find(post.canonical_name);
    if (found == attention_.end()) {
        found = attention_.find(find_name_with_home(post.canonical_name, homes_));
    }
    return found == attention_.end() ? nullptr : found->second;
}

std::unordered_set<std::string> Pairing::list_names(const RecognisedCheckpoint& post) const {
    std::unordered_set<std::string> names;
    for (const checkpoint::TensorEntry& tensor : post.checkpoint.tensors()) {
        std::string canonical = checkpoint::canonical_name(tensor.name);
        if (std::string home = find_name_with_home(canonical, homes_); !home.empty()) {
            names.insert(std::move(home));
        }
        names.insert(std::move(canonical));
    }
    return names;
}

bool Pairing::holds(const std::unordered_set<std::string>& names,
                    const std::string& canonical) const {
    return names.contains(canonical) || names.contains(find_name_with_home(canonical, homes_));
}

std::vector<PairedRows> pair_rows(const checkpoint::AttentionTensor& pre,
                                  const checkpoint::AttentionTensor& post,
                                  std::vector<std::string>& problems) {
    using Key = std::pair<checkpoint::RowRole, std::optional<std::uint32_t>>;
    std::map<Key, std::vector<const checkpoint::RowBlock*>> of_pre;
    for (const checkpoint::RowBlock& block : pre.blocks) {
        of_pre[{block.role, block.head}].push_back(&block);
    }
    std::map<Key, std::size_t> used;
    std::vector<PairedRows> pairs;
    for (const checkpoint::RowBlock& block : post.blocks) {
        const Key key{block.role, block.head};
        const auto& candidates = of_pre[key];
        const std::size_t position = used[key]++;
        if (position >= candidates.size() ||
            candidates[position]->rows.size() != block.rows.size()) {
            problems.push_back(
                format("tensor {}: rows {}..{} ({}) have no counterpart of {} rows in pre",
                       in_quotes(post.name),
                       block.rows.begin,
                       block.rows.end,
                       checkpoint::to_string(block.role),
                       block.rows.size()));
            continue;
        }
        pairs.push_back({.post = block, .pre_row = candidates[position]->rows.begin});
    }
    return pairs;
}

std::vector<std::string> find_disagreements(const RecognisedCheckpoint& pre,
                                            const RecognisedCheckpoint& post,
                                            const Request& request,
                                            std::vector<checkpoint::Finding>& findings) {
    const checkpoint::Model& before = pre.model;
    const checkpoint::Model& after = post.model;
    std::vector<std::string> problems;
    const auto judge = [&](Allowance allowance, const std::string& difference) {
        if (request.allowed.contains(allowance)) {
            findings.push_back({.code = "allowed_difference", .sentence = difference});
        } else {
            problems.push_back(
                format("{} (--allow {} overrides)", difference, to_string(allowance)));
        }
    };
    if (before.family != after.family) {
        judge(Allowance::family,
              format("the family is {} in pre and {} in post", before.family, after.family));
    }
    if (before.heads && after.heads && *before.heads != *after.heads) {
        judge(Allowance::heads,
              format("pre has {} query heads, {} key-value heads of {} rows; post has {}, {}, {}",
                     before.heads->query_heads,
                     before.heads->kv_heads,
                     before.heads->head_dim,
                     after.heads->query_heads,
                     after.heads->kv_heads,
                     after.heads->head_dim));
    }
    if (before.layers.size() != after.layers.size()) {
        problems.push_back(
            format("pre has {} layers and post has {}", before.layers.size(), after.layers.size()));
    }
    if (before.hidden_size != 0 && after.hidden_size != 0 &&
        before.hidden_size != after.hidden_size) {
        problems.push_back(format(
            "the hidden size is {} in pre and {} in post", before.hidden_size, after.hidden_size));
    }
    if (before.qk_norm != after.qk_norm) {
        judge(Allowance::family, "the kind of QK-norm differs between pre and post");
    }
    compare_configured(pre, post, judge);
    if (before.vocab_size != 0 && after.vocab_size != 0 && before.vocab_size != after.vocab_size) {
        findings.push_back(
            {.code = "vocabulary_differs",
             .sentence = format("the vocabulary has {} entries in pre and {} in post; embedding "
                                "and head stay post's",
                                before.vocab_size,
                                after.vocab_size)});
    }
    if (was_trained_from(pre, post)) {
        judge(Allowance::swapped,
              format("{} holds a trainer's files and names {} as what it was trained from: pre and "
                     "post look swapped",
                     in_quotes(pre.checkpoint.path().string()),
                     in_quotes(post.checkpoint.path().string())));
    }
    return problems;
}

}  // namespace anamnesis::restore
