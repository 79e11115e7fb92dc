// SPDX-License-Identifier: Apache-2.0
#include "pairing.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

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

void compare_positions(const checkpoint::PositionSettings& pre,
                       const checkpoint::PositionSettings& post,
                       std::vector<std::string>& differences) {
    if (pre.uses_rope != post.uses_rope) {
        differences.push_back(format("rotary position encoding is {} in pre and {} in post",
                                     pre.uses_rope ? "on" : "off",
                                     post.uses_rope ? "on" : "off"));
        return;
    }
    if (pre.uses_rope && pre.rope_theta != post.rope_theta) {
        differences.push_back(format("rope_theta is {} in pre and {} in post",
                                     describe(pre.rope_theta),
                                     describe(post.rope_theta)));
    }
    if (pre.uses_rope && !(pre.rope_scaling == post.rope_scaling)) {
        differences.push_back(format("rope scaling is {} in pre and {} in post",
                                     pre.rope_scaling.dump(),
                                     post.rope_scaling.dump()));
    }
    if (pre.uses_rope && pre.partial_rotary_factor != post.partial_rotary_factor) {
        differences.push_back(format("partial_rotary_factor is {} in pre and {} in post",
                                     describe(pre.partial_rotary_factor),
                                     describe(post.partial_rotary_factor)));
    }
    if (pre.attention_scale != post.attention_scale) {
        differences.push_back(format("the attention scale is {} in pre and {} in post",
                                     describe(pre.attention_scale),
                                     describe(post.attention_scale)));
    }
}

}  // namespace

Pairing::Pairing(const RecognisedCheckpoint& pre, const RecognisedCheckpoint& post) : pre_(&pre) {
    static_cast<void>(post);
    for (const checkpoint::TensorEntry& tensor : pre.checkpoint.tensors()) {
        by_canonical_name_.emplace(checkpoint::canonical_name(tensor.name), &tensor);
    }
    for (const checkpoint::AttentionTensor& tensor : pre.model.attention) {
        attention_.emplace(tensor.canonical_name, &tensor);
    }
}

const checkpoint::TensorEntry* Pairing::find_pre(const std::string& post_name) const {
    if (const auto* same = pre_->checkpoint.find(post_name)) {
        return same;
    }
    const auto found = by_canonical_name_.find(checkpoint::canonical_name(post_name));
    return found == by_canonical_name_.end() ? nullptr : found->second;
}

const checkpoint::AttentionTensor* Pairing::find_pre_attention(
    const checkpoint::AttentionTensor& post) const {
    const auto found = attention_.find(post.canonical_name);
    return found == attention_.end() ? nullptr : found->second;
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
                       checkpoint::name_of(block.role),
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
                                            std::vector<std::string>& warnings) {
    const checkpoint::Model& before = pre.model;
    const checkpoint::Model& after = post.model;
    std::vector<std::string> problems;
    const auto judge = [&](Allowance allowance, const std::string& difference) {
        if (request.allowed.contains(allowance)) {
            warnings.push_back(difference);
        } else {
            problems.push_back(format("{} (--allow {} overrides)", difference, name_of(allowance)));
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
    std::vector<std::string> positions;
    compare_positions(before.position, after.position, positions);
    for (const std::string& difference : positions) {
        judge(Allowance::position, difference);
    }
    if (before.vocab_size != 0 && after.vocab_size != 0 && before.vocab_size != after.vocab_size) {
        warnings.push_back(
            format("the vocabulary has {} entries in pre and {} in post; embedding "
                   "and head stay post's",
                   before.vocab_size,
                   after.vocab_size));
    }
    if (has_training_traces(pre) && !has_training_traces(post)) {
        judge(Allowance::swapped,
              format("{} holds a trainer's files and {} does not: pre and post look swapped",
                     in_quotes(pre.checkpoint.path().string()),
                     in_quotes(post.checkpoint.path().string())));
    }
    return problems;
}

}  // namespace anamnesis::restore
