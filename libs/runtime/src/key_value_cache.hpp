// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace anamnesis::runtime {

/// Keys and values of one softmax layer of one sequence, in pages that never move: growing copies
/// nothing, and copies of the cache share all pages. The first that goes on writes to the last one,
/// since nobody reads beyond the cache's own length; another that goes on from an earlier place
/// copies it.
///
/// Off the CPU there is one page, because a device's kernels want all keys side by side and read
/// them faster than they could be gathered; it is copied when it is full, or when another copy has
/// written to it, with room for a quarter more, at most 4096 tokens.
class KeyValueCache {
public:
    /// A block of consecutive tokens.
    struct Page {
        at::Tensor keys;    ///< [kv_heads, page_length, head_dim]
        at::Tensor values;  ///< the same shape; the same tensor where keys are their own values
    };

    KeyValueCache(at::ScalarType type, std::int64_t page_length)
        : type_(type), page_length_(page_length) {}

    /// Adds tokens. Undefined values: keys are their own values, and held once.
    /// Shapes: keys, values [T, kv_heads, head_dim].
    void append(const at::Tensor& keys, const at::Tensor& values);

    /// Frees pages that lie wholly before `position`; a window never looks there again.
    void forget_before(std::int64_t position);

    /// Tokens added so far, forgotten ones included.
    std::int64_t length() const noexcept { return length_; }
    std::int64_t page_length() const noexcept { return page_length_; }
    at::ScalarType type() const noexcept { return type_; }
    std::int64_t page_count() const noexcept { return static_cast<std::int64_t>(pages_.size()); }
    /// Null for a page that was forgotten.
    const Page* page(std::int64_t index) const {
        const std::shared_ptr<SharedPage>& held = pages_[static_cast<std::size_t>(index)];
        return held ? &held->page : nullptr;
    }

    /// Tokens [begin, end) side by side, as type `type`; a view where they lie so.
    /// Shapes: [kv_heads, end - begin, head_dim].
    Page gather(std::int64_t begin, std::int64_t end, at::ScalarType type) const;

    /// Bytes of all pages, shared ones included.
    std::int64_t bytes() const;

    /// Tells each page that is held: what makes it this one, and its bytes.
    template <class Tell>
    void list_pages(const Tell& tell) const {
        for (const std::shared_ptr<SharedPage>& held : pages_) {
            if (held) {
                tell(static_cast<const void*>(held.get()), count_bytes(held->page));
            }
        }
    }

private:
    friend void append_each(std::span<KeyValueCache* const> caches,
                            const at::Tensor& keys,
                            const at::Tensor& values);

    /// Of what a token adds.
    struct RowShape {
        std::int64_t kv_heads = 0;
        std::int64_t head_dim = 0;
        bool has_values = true;
    };

    /// A page and how many of its tokens some cache has written.
    struct SharedPage {
        SharedPage(Page tensors, std::int64_t tokens) : page(std::move(tensors)), written(tokens) {}

        Page page;
        std::atomic<std::int64_t> written;
    };

    /// `append` of one token to a cache of bfloat16 or float32 on the CPU, from float32 rows
    /// [kv_heads, head_dim]; `values` null: keys are their own values.
    void append_token(const float* keys, const float* values, const RowShape& shape);
    static std::int64_t count_bytes(const Page& page);
    /// Takes the tokens [first, first + count) of a page for this cache to write. False where
    /// another cache that shares the page has written there.
    static bool claim(const std::shared_ptr<SharedPage>& held,
                      std::int64_t first,
                      std::int64_t count);

    /// The last page, made or copied so that this cache may write `tokens` more.
    Page& writable_page(std::int64_t tokens, const RowShape& shape);
    /// Off the CPU: the page, with room for `tokens` more.
    Page& page_with_room(std::int64_t tokens, const RowShape& shape, at::Device device);
    Page make_page(std::int64_t length, const RowShape& shape, at::Device device) const;

    at::ScalarType type_;
    std::int64_t page_length_;
    std::int64_t length_ = 0;
    std::vector<std::shared_ptr<SharedPage>> pages_;
    bool is_off_cpu_ = false;  ///< known from the first token on
    std::int64_t begin_ = 0;   ///< off the CPU: the page's first token,
    std::int64_t needed_ = 0;  ///< and the first that is not forgotten
};

/// Adds the next tokens of several sequences, each to its cache.
/// Shapes: keys, values [B, T, kv_heads, head_dim]; values undefined: as in `append`.
void append_each(std::span<KeyValueCache* const> caches,
                 const at::Tensor& keys,
                 const at::Tensor& values);

}  // namespace anamnesis::runtime
