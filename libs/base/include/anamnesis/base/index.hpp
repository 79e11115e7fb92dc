// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>

namespace anamnesis {

/// A zero-based number with a meaning. No implicit conversion in either direction.
template <class Tag>
struct Index {
    std::uint32_t value = 0;

    constexpr Index() = default;
    explicit constexpr Index(std::uint32_t number) : value(number) {}
    friend constexpr auto operator<=>(const Index&, const Index&) = default;
};

using LayerIndex = Index<struct LayerTag>;
using QueryHead = Index<struct QueryHeadTag>;
using KvHead = Index<struct KvHeadTag>;

/// How the rows of one attention layer divide into heads.
struct HeadLayout {
    std::uint32_t query_heads = 0;
    std::uint32_t kv_heads = 0;
    std::uint32_t head_dim = 0;

    /// Consecutive query heads share one key-value head (grouped-query attention).
    constexpr KvHead kv_head(QueryHead head) const {
        return KvHead{head.value / (query_heads / kv_heads)};
    }
    friend constexpr bool operator==(const HeadLayout&, const HeadLayout&) = default;
};

}  // namespace anamnesis
