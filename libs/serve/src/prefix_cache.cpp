// SPDX-License-Identifier: Apache-2.0
#include "prefix_cache.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::serve {

/// A block of tokens after those of its parents.
struct PrefixCache::Node {
    Node* parent = nullptr;  ///< null for a root
    std::string salt{};      ///< of a root
    std::vector<TokenId> tokens{};
    std::map<std::vector<TokenId>, std::unique_ptr<Node>> children{};
    std::optional<runtime::NetworkState> state{};
    Recent::iterator place{};  ///< where there is a state
};

PrefixCache::PrefixCache(std::size_t block) : block_(block) {}
PrefixCache::~PrefixCache() = default;

PrefixCache::Node* PrefixCache::step(Node& node, std::span<const TokenId> block) const {
    const auto found = node.children.find({block.begin(), block.end()});
    return found == node.children.end() ? nullptr : found->second.get();
}

std::optional<runtime::NetworkState> PrefixCache::find(const std::string& salt,
                                                       std::span<const TokenId> prompt) {
    const auto root = roots_.find(salt);
    if (root == roots_.end()) {
        return std::nullopt;
    }
    Node* best = nullptr;
    Node* node = root->second.get();
    for (std::size_t done = 0; done + block_ < prompt.size(); done += block_) {
        node = step(*node, prompt.subspan(done, block_));
        if (node == nullptr) {
            break;
        }
        best = node->state ? node : best;
    }
    if (best == nullptr) {
        return std::nullopt;
    }
    touch(*best);
    return best->state;
}

void PrefixCache::keep(const std::string& salt,
                       std::span<const TokenId> prompt,
                       const runtime::NetworkState& state,
                       std::uint64_t most_bytes) {
    ANAMNESIS_CHECK(!prompt.empty() && prompt.size() % block_ == 0, "whole blocks are kept");
    std::unique_ptr<Node>& root = roots_[salt];
    if (!root) {
        root = std::make_unique<Node>(Node{.salt = salt});
    }
    Node* node = root.get();
    for (std::size_t done = 0; done < prompt.size(); done += block_) {
        const auto block = prompt.subspan(done, block_);
        Node* next = step(*node, block);
        if (next == nullptr) {
            std::vector<TokenId> tokens(block.begin(), block.end());
            auto made = std::make_unique<Node>(Node{.parent = node, .tokens = tokens});
            next = node->children.emplace(std::move(tokens), std::move(made)).first->second.get();
        }
        node = next;
    }
    if (node->state) {
        touch(*node);
    } else {
        node->state = state;
        node->place = recent_.insert(recent_.begin(), node);
        count(*node->state, true);
    }
    shrink(most_bytes);
}

void PrefixCache::shrink(std::uint64_t most_bytes) {
    while (bytes_ > most_bytes && !recent_.empty()) {
        evict(*recent_.back());
        ++evictions_;
    }
}

void PrefixCache::touch(Node& node) {
    recent_.splice(recent_.begin(), recent_, node.place);
}

void PrefixCache::evict(Node& node) {
    count(*node.state, false);
    node.state.reset();
    recent_.erase(node.place);
    // Blocks that lead to no state are not kept either.
    Node* empty = &node;
    while (!empty->state && empty->children.empty()) {
        Node* const parent = empty->parent;
        if (parent == nullptr) {
            roots_.erase(std::string(empty->salt));
            return;
        }
        parent->children.erase(std::vector<TokenId>(empty->tokens));
        empty = parent;
    }
}

void PrefixCache::count(const runtime::NetworkState& state, bool is_added) {
    for (const runtime::HeldMemory& held : state.list_memory()) {
        Uses& uses = memory_[held.identity];
        if (is_added) {
            if (uses.states++ == 0) {
                uses.bytes = held.bytes;
                bytes_ += static_cast<std::uint64_t>(held.bytes);
            }
        } else if (--uses.states == 0) {
            bytes_ -= static_cast<std::uint64_t>(uses.bytes);
            memory_.erase(held.identity);
        }
    }
}

}  // namespace anamnesis::serve
