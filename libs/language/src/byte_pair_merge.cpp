// SPDX-License-Identifier: Apache-2.0
#include "byte_pair_merge.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace anamnesis::language {
namespace {

// Below this a scan for the lowest rank beats a heap.
constexpr std::size_t short_length = 48;

}  // namespace

void BytePairMerges::reserve(std::size_t merges) {
    grow(std::bit_ceil(std::max<std::size_t>(16, merges + merges / 2)));
}

std::size_t BytePairMerges::find_slot(std::uint64_t pair) const {
    const std::size_t mask = slots_.size() - 1;
    std::uint64_t hash = pair * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 32U;
    std::size_t slot = hash & mask;
    while (slots_[slot].pair != vacant && slots_[slot].pair != pair) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

const BytePairMerges::Merge& BytePairMerges::at(TokenId left, TokenId right) const {
    return slots_[find_slot(make_key(left, right))];
}

void BytePairMerges::grow(std::size_t slots) {
    const std::vector<Merge> old = std::exchange(slots_, std::vector<Merge>(slots));
    for (const Merge& merge : old) {
        if (merge.pair != vacant) {
            slots_[find_slot(merge.pair)] = merge;
        }
    }
}

void BytePairMerges::set(TokenId left, TokenId right, std::uint32_t rank, TokenId product) {
    if ((count_ + 1) * 3 > slots_.size() * 2) {
        grow(slots_.size() * 2);
    }
    Merge& merge = slots_[find_slot(make_key(left, right))];
    count_ += merge.pair == vacant ? 1U : 0U;
    merge = {.pair = make_key(left, right), .rank = rank, .product = product};
}

void BytePairMerges::apply(std::vector<TokenId>& symbols) const {
    if (symbols.size() < 2) {
        return;
    }
    if (symbols.size() <= short_length) {
        apply_to_short(symbols);
    } else {
        apply_to_long(symbols);
    }
}

void BytePairMerges::naive_apply(std::vector<TokenId>& symbols) const {
    while (true) {
        const Merge* best = nullptr;
        std::size_t place = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const Merge& merge = at(symbols[i], symbols[i + 1]);
            if (merge.pair != vacant && (best == nullptr || merge.rank < best->rank)) {
                best = &merge;
                place = i;
            }
        }
        if (best == nullptr) {
            return;
        }
        symbols[place] = best->product;
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
}

void BytePairMerges::apply_to_short(std::vector<TokenId>& symbols) const {
    // merges[i] joins symbols i and i + 1.
    std::array<std::pair<std::uint32_t, TokenId>, short_length> merges{};
    const auto look = [&](std::size_t i) {
        const Merge& merge = at(symbols[i], symbols[i + 1]);
        merges[i] = {merge.rank, merge.product};
    };
    std::size_t length = symbols.size();
    for (std::size_t i = 0; i + 1 < length; ++i) {
        look(i);
    }
    while (length > 1) {
        std::size_t place = 0;
        for (std::size_t i = 1; i + 1 < length; ++i) {
            if (merges[i].first < merges[place].first) {
                place = i;
            }
        }
        if (merges[place].first == none) {
            break;
        }
        symbols[place] = merges[place].second;
        for (std::size_t i = place + 1; i + 1 < length; ++i) {
            symbols[i] = symbols[i + 1];
            merges[i] = merges[i + 1];
        }
        --length;
        if (place + 1 < length) {
            look(place);
        }
        if (place > 0) {
            look(place - 1);
        }
    }
    symbols.resize(length);
}

namespace {

constexpr std::size_t end = ~std::size_t{0};

/// A symbol of a long text in a list that merges shorten.
struct Node {
    std::size_t previous = end;
    std::size_t next = end;
    std::uint32_t rank = 0;  // of the merge with the next one; `none` also for nodes merged away
    TokenId product = 0;
};

using Candidate = std::pair<std::uint32_t, std::size_t>;  // rank, then place
using CandidateQueue = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>>;

}  // namespace

void BytePairMerges::apply_to_long(std::vector<TokenId>& symbols) const {
    std::vector<Node> nodes(symbols.size());
    std::vector<Candidate> candidates;
    candidates.reserve(symbols.size());
    // Takes the merge of a symbol with the next one; gives its rank.
    const auto look = [&](std::size_t i) {
        Node& node = nodes[i];
        node.rank = none;
        if (node.next != end) {
            const Merge& merge = at(symbols[i], symbols[node.next]);
            node.rank = merge.rank;
            node.product = merge.product;
        }
        return node.rank;
    };
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        nodes[i].previous = i == 0 ? end : i - 1;
        nodes[i].next = i + 1 == symbols.size() ? end : i + 1;
        if (const std::uint32_t rank = look(i); rank != none) {
            candidates.emplace_back(rank, i);
        }
    }
    CandidateQueue queue(std::greater<>(), std::move(candidates));
    while (!queue.empty()) {
        const auto [rank, place] = queue.top();
        queue.pop();
        Node& node = nodes[place];
        // A rank names one pair, so an entry is stale exactly when the rank there has changed.
        if (node.rank != rank) {
            continue;
        }
        symbols[place] = node.product;
        Node& gone = nodes[node.next];
        gone.rank = none;
        node.next = gone.next;
        if (node.next != end) {
            nodes[node.next].previous = place;
        }
        for (const std::size_t changed : {place, node.previous}) {
            if (changed == end) {
                continue;
            }
            if (const std::uint32_t next_rank = look(changed); next_rank != none) {
                queue.emplace(next_rank, changed);
            }
        }
    }
    std::size_t length = 0;
    for (std::size_t i = 0; i != end; i = nodes[i].next) {
        symbols[length++] = symbols[i];
    }
    symbols.resize(length);
}

}  // namespace anamnesis::language
