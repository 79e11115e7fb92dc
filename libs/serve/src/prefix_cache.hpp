// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "anamnesis/runtime/network.hpp"

#include "job.hpp"

namespace anamnesis::serve {

/// States of a model after whole blocks of prompts that it read, to begin from where a later prompt
/// begins alike.
///
/// A prompt is always read block by block, from whole blocks on. So what follows a kept state runs
/// the same calls on the same numbers as without it, and gives the same bits: for recurrent states
/// and convolutions as well as for keys and values.
///
/// Kept states share the pages of their caches with each other and with answers under way; a page
/// counts once. What was not used for longest goes first.
class PrefixCache {
public:
    /// `block`: tokens.
    explicit PrefixCache(std::size_t block);
    ~PrefixCache();
    PrefixCache(const PrefixCache&) = delete;
    PrefixCache& operator=(const PrefixCache&) = delete;

    /// A copy of the state after the longest kept beginning of the prompt that leaves at least one
    /// token to read.
    std::optional<runtime::NetworkState> find(const std::string& salt,
                                              std::span<const TokenId> prompt);

    /// Keeps a copy of the state after `prompt`, a whole number of blocks; then frees what is above
    /// `most_bytes`.
    void keep(const std::string& salt,
              std::span<const TokenId> prompt,
              const runtime::NetworkState& state,
              std::uint64_t most_bytes);

    /// Frees states until all others together hold at most so much.
    void shrink(std::uint64_t most_bytes);

    std::uint64_t bytes() const { return bytes_; }
    std::size_t size() const { return recent_.size(); }
    std::uint64_t evictions() const { return evictions_; }

private:
    struct Node;
    using Recent = std::list<Node*>;

    Node* step(Node& node, std::span<const TokenId> block) const;
    void touch(Node& node);
    void evict(Node& node);
    void count(const runtime::NetworkState& state, bool is_added);

    struct Uses {
        std::size_t states = 0;
        std::int64_t bytes = 0;
    };

    std::size_t block_;
    std::map<std::string, std::unique_ptr<Node>> roots_;  ///< by salt
    Recent recent_;  ///< nodes that hold a state, the last used first
    std::unordered_map<const void*, Uses> memory_;
    std::uint64_t bytes_ = 0;
    std::uint64_t evictions_ = 0;
};

}  // namespace anamnesis::serve
