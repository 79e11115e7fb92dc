// SPDX-License-Identifier: Apache-2.0
#include "key_value_cache.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime {
namespace {

/// Rows [T, kv_heads, D] as the tokens [first, first + T) of a page [kv_heads, page_length, D].
void write(const at::Tensor& rows, at::Tensor& page, std::int64_t first) {
    page.narrow(1, first, rows.size(0)).copy_(rows.transpose(0, 1));
}

/// A row [kv_heads, D] of float32 as the token `index` of a page in bfloat16 or float32.
void write_token(const float* row, const at::Tensor& page, std::int64_t index) {
    const std::int64_t dim = page.size(2);
    for (std::int64_t head = 0; head < page.size(0); ++head) {
        const std::int64_t place = (head * page.size(1) + index) * dim;
        if (page.scalar_type() == at::kFloat) {
            std::copy_n(row + head * dim, dim, page.mutable_data_ptr<float>() + place);
        } else {
            cpu::narrow(row + head * dim,
                        static_cast<cpu::Bf16*>(page.mutable_data_ptr()) + place,
                        static_cast<std::size_t>(dim));
        }
    }
}

/// True where keys are their own values.
bool is_single(const KeyValueCache::Page& page) {
    return page.values.is_same(page.keys);
}

/// The first `count` tokens of `target` from those of `source` that begin at `first`.
void copy_tokens(const KeyValueCache::Page& source,
                 std::int64_t first,
                 KeyValueCache::Page& target,
                 std::int64_t count) {
    target.keys.narrow(1, 0, count).copy_(source.keys.narrow(1, first, count));
    if (!is_single(target)) {
        target.values.narrow(1, 0, count).copy_(source.values.narrow(1, first, count));
    }
}

/// Rows [begin, begin + count) as the tokens of a page from `first` on.
void write_tokens(const KeyValueCache::Page& rows,
                  std::int64_t begin,
                  std::int64_t count,
                  KeyValueCache::Page& page,
                  std::int64_t first) {
    write(rows.keys.narrow(0, begin, count), page.keys, first);
    if (rows.values.defined()) {
        write(rows.values.narrow(0, begin, count), page.values, first);
    }
}

}  // namespace

KeyValueCache::Page KeyValueCache::make_page(std::int64_t length,
                                             const RowShape& shape,
                                             at::Device device) const {
    const auto make = [&] {
        return at::empty({shape.kv_heads, length, shape.head_dim},
                         at::TensorOptions().dtype(type_).device(device));
    };
    const at::Tensor keys = make();
    return {.keys = keys, .values = shape.has_values ? make() : keys};
}

std::int64_t KeyValueCache::count_bytes(const Page& page) {
    return static_cast<std::int64_t>(page.keys.nbytes() +
                                     (is_single(page) ? 0 : page.values.nbytes()));
}

bool KeyValueCache::claim(const std::shared_ptr<SharedPage>& held,
                          std::int64_t first,
                          std::int64_t count) {
    if (held.use_count() == 1) {
        held->written = first + count;
        return true;
    }
    std::int64_t written = first;
    return held->written.compare_exchange_strong(written, first + count);
}

KeyValueCache::Page& KeyValueCache::writable_page(std::int64_t tokens, const RowShape& shape) {
    const std::int64_t used = length_ % page_length_;
    if (used == 0) {
        pages_.push_back(
            std::make_shared<SharedPage>(make_page(page_length_, shape, at::kCPU), tokens));
    } else if (!claim(pages_.back(), used, tokens)) {
        Page copy = make_page(page_length_, shape, at::kCPU);
        copy_tokens(pages_.back()->page, 0, copy, used);
        pages_.back() = std::make_shared<SharedPage>(std::move(copy), used + tokens);
    }
    return pages_.back()->page;
}

KeyValueCache::Page& KeyValueCache::page_with_room(std::int64_t tokens,
                                                   const RowShape& shape,
                                                   at::Device device) {
    const std::int64_t end = length_ + tokens;
    if (!pages_.empty() && end - begin_ <= pages_.front()->page.keys.size(1) &&
        claim(pages_.front(), length_ - begin_, tokens)) {
        return pages_.front()->page;
    }
    constexpr std::int64_t most_room = 4096;
    const std::int64_t wanted = end - needed_ + std::min((end - needed_) / 4, most_room);
    Page larger =
        make_page((wanted + page_length_ - 1) / page_length_ * page_length_, shape, device);
    if (const std::int64_t kept = length_ - needed_; kept > 0) {
        copy_tokens(pages_.front()->page, needed_ - begin_, larger, kept);
    }
    pages_.assign(1, std::make_shared<SharedPage>(std::move(larger), end - needed_));
    begin_ = needed_;
    return pages_.front()->page;
}

void KeyValueCache::append(const at::Tensor& keys, const at::Tensor& values) {
    if (values.defined()) {
        check_shape(values, keys.sizes(), "values of a cache");
    }
    const Page rows{.keys = keys, .values = values};
    const RowShape shape{
        .kv_heads = keys.size(1), .head_dim = keys.size(2), .has_values = values.defined()};
    const std::int64_t tokens = keys.size(0);
    is_off_cpu_ = !keys.is_cpu();
    if (is_off_cpu_) {
        Page& page = page_with_room(tokens, shape, keys.device());  // may move `begin_`
        write_tokens(rows, 0, tokens, page, length_ - begin_);
        length_ += tokens;
        return;
    }
    for (std::int64_t done = 0; done < tokens;) {
        const std::int64_t used = length_ % page_length_;
        const std::int64_t count = std::min(tokens - done, page_length_ - used);
        Page& page = writable_page(count, shape);
        write_tokens(rows, done, count, page, used);
        length_ += count;
        done += count;
    }
}

void KeyValueCache::append_token(const float* keys, const float* values, const RowShape& shape) {
    const std::int64_t used = length_ % page_length_;
    const Page& page = writable_page(1, shape);
    write_token(keys, page.keys, used);
    if (values != nullptr) {
        write_token(values, page.values, used);
    }
    ++length_;
}

void KeyValueCache::forget_before(std::int64_t position) {
    if (is_off_cpu_) {
        needed_ = std::max(needed_, std::min(position, length_));
        return;
    }
    const std::int64_t whole = std::min(position, length_) / page_length_;
    for (std::int64_t i = 0; i < whole; ++i) {
        pages_[static_cast<std::size_t>(i)].reset();
    }
}

KeyValueCache::Page KeyValueCache::gather(std::int64_t begin,
                                          std::int64_t end,
                                          at::ScalarType type) const {
    if (is_off_cpu_) {
        const Page& all = pages_.front()->page;
        const auto cut = [&](const at::Tensor& rows) {
            return rows.narrow(1, begin - begin_, end - begin).to(type);
        };
        const at::Tensor keys = cut(all.keys);
        return {.keys = keys, .values = is_single(all) ? keys : cut(all.values)};
    }
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t at = begin; at < end;) {
        const Page& source = *page(at / page_length_);
        const std::int64_t first = at % page_length_;
        const std::int64_t count = std::min(end - at, page_length_ - first);
        keys.push_back(source.keys.narrow(1, first, count).to(type));
        if (!is_single(source)) {
            values.push_back(source.values.narrow(1, first, count).to(type));
        }
        at += count;
    }
    const at::Tensor all = at::cat(keys, 1);
    return {.keys = all, .values = values.empty() ? all : at::cat(values, 1)};
}

std::int64_t KeyValueCache::bytes() const {
    std::int64_t total = 0;
    list_pages([&](const void* /*page*/, std::int64_t bytes) { total += bytes; });
    return total;
}

void append_each(std::span<KeyValueCache* const> caches,
                 const at::Tensor& keys,
                 const at::Tensor& values) {
    const auto is_plain = [](const at::Tensor& rows) {
        return rows.is_cpu() && rows.scalar_type() == at::kFloat && rows.is_contiguous();
    };
    const bool are_plain = keys.size(1) == 1 && is_plain(keys) &&
                           (!values.defined() || is_plain(values)) &&
                           std::ranges::all_of(caches, [](const KeyValueCache* cache) {
                               return cache->type() == at::kFloat || cache->type() == at::kBFloat16;
                           });
    if (values.defined()) {
        check_shape(values, keys.sizes(), "values of caches");
    }
    if (!are_plain) {
        for (std::size_t b = 0; b < caches.size(); ++b) {
            const auto row = static_cast<std::int64_t>(b);
            caches[b]->append(keys.select(0, row),
                              values.defined() ? values.select(0, row) : values);
        }
        return;
    }
    // One token, by the operators of LibTorch, costs more than its way through the kernel.
    const KeyValueCache::RowShape shape{
        .kv_heads = keys.size(2), .head_dim = keys.size(3), .has_values = values.defined()};
    const std::int64_t width = shape.kv_heads * shape.head_dim;
    for (std::size_t b = 0; b < caches.size(); ++b) {
        const std::int64_t row = static_cast<std::int64_t>(b) * width;
        caches[b]->append_token(keys.const_data_ptr<float>() + row,
                                values.defined() ? values.const_data_ptr<float>() + row : nullptr,
                                shape);
    }
}

}  // namespace anamnesis::runtime
