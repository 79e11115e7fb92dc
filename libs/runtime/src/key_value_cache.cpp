// SPDX-License-Identifier: Apache-2.0
#include "key_value_cache.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime {
namespace {

/// Rows [T, kv_heads, D] as the tokens [first, first + T) of a page [kv_heads, page_length, D].
void write(const at::Tensor& rows, at::Tensor& page, std::int64_t first) {
    const std::int64_t heads = rows.size(1);
    const std::int64_t dim = rows.size(2);
    if (rows.size(0) != 1 || !rows.is_cpu() || !rows.is_contiguous() ||
        rows.scalar_type() != at::kFloat || page.scalar_type() != at::kBFloat16) {
        page.narrow(1, first, rows.size(0)).copy_(rows.transpose(0, 1));
        return;
    }
    // One token, by the operators above, costs more than its way through the kernel.
    for (std::int64_t head = 0; head < heads; ++head) {
        cpu::narrow(
            rows.const_data_ptr<float>() + head * dim,
            static_cast<cpu::Bf16*>(page.mutable_data_ptr()) + (head * page.size(1) + first) * dim,
            static_cast<std::size_t>(dim));
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

KeyValueCache::Page KeyValueCache::make_page(std::int64_t length, const Page& like) const {
    const auto make = [&] {
        return at::empty({like.keys.size(1), length, like.keys.size(2)},
                         like.keys.options().dtype(type_));
    };
    const at::Tensor keys = make();
    return {.keys = keys, .values = like.values.defined() ? make() : keys};
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

KeyValueCache::Page& KeyValueCache::writable_page(std::int64_t tokens, const Page& like) {
    const std::int64_t used = length_ % page_length_;
    if (used == 0) {
        pages_.push_back(std::make_shared<SharedPage>(make_page(page_length_, like), tokens));
    } else if (!claim(pages_.back(), used, tokens)) {
        Page copy = make_page(page_length_, like);
        copy_tokens(pages_.back()->page, 0, copy, used);
        pages_.back() = std::make_shared<SharedPage>(std::move(copy), used + tokens);
    }
    return pages_.back()->page;
}

KeyValueCache::Page& KeyValueCache::page_with_room(std::int64_t tokens, const Page& like) {
    const std::int64_t end = length_ + tokens;
    if (!pages_.empty() && end - begin_ <= pages_.front()->page.keys.size(1) &&
        claim(pages_.front(), length_ - begin_, tokens)) {
        return pages_.front()->page;
    }
    constexpr std::int64_t most_room = 4096;
    const std::int64_t wanted = end - needed_ + std::min((end - needed_) / 4, most_room);
    Page larger = make_page((wanted + page_length_ - 1) / page_length_ * page_length_, like);
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
    const std::int64_t tokens = keys.size(0);
    is_off_cpu_ = !keys.is_cpu();
    if (is_off_cpu_) {
        Page& page = page_with_room(tokens, rows);  // may move `begin_`
        write_tokens(rows, 0, tokens, page, length_ - begin_);
        length_ += tokens;
        return;
    }
    for (std::int64_t done = 0; done < tokens;) {
        const std::int64_t used = length_ % page_length_;
        const std::int64_t count = std::min(tokens - done, page_length_ - used);
        Page& page = writable_page(count, rows);
        write_tokens(rows, done, count, page, used);
        length_ += count;
        done += count;
    }
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

}  // namespace anamnesis::runtime
