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

}  // namespace

KeyValueCache::Page KeyValueCache::make_page(std::int64_t length, const at::Tensor& like) const {
    const auto options = like.options().dtype(type_);
    return {.keys = at::empty({like.size(1), length, like.size(2)}, options),
            .values = at::empty({like.size(1), length, like.size(2)}, options)};
}

KeyValueCache::Page& KeyValueCache::writable_page(const at::Tensor& like) {
    const std::int64_t used = length_ % page_length_;
    if (used == 0) {
        pages_.push_back(std::make_shared<Page>(make_page(page_length_, like)));
    } else if (pages_.back().use_count() > 1) {
        Page copy = make_page(page_length_, like);
        copy.keys.narrow(1, 0, used).copy_(pages_.back()->keys.narrow(1, 0, used));
        copy.values.narrow(1, 0, used).copy_(pages_.back()->values.narrow(1, 0, used));
        pages_.back() = std::make_shared<Page>(std::move(copy));
    }
    return *pages_.back();
}

KeyValueCache::Page& KeyValueCache::page_with_room(std::int64_t tokens, const at::Tensor& like) {
    const std::int64_t end = length_ + tokens;
    if (!pages_.empty() && pages_.front().use_count() == 1 &&
        end - begin_ <= pages_.front()->keys.size(1)) {
        return *pages_.front();
    }
    constexpr std::int64_t most_room = 4096;
    const std::int64_t wanted = end - needed_ + std::min((end - needed_) / 4, most_room);
    Page larger = make_page((wanted + page_length_ - 1) / page_length_ * page_length_, like);
    if (const std::int64_t kept = length_ - needed_; kept > 0) {
        const Page& old = *pages_.front();
        larger.keys.narrow(1, 0, kept).copy_(old.keys.narrow(1, needed_ - begin_, kept));
        larger.values.narrow(1, 0, kept).copy_(old.values.narrow(1, needed_ - begin_, kept));
    }
    pages_.assign(1, std::make_shared<Page>(std::move(larger)));
    begin_ = needed_;
    return *pages_.front();
}

void KeyValueCache::append(const at::Tensor& keys, const at::Tensor& values) {
    check_shape(values, keys.sizes(), "values of a cache");
    const std::int64_t tokens = keys.size(0);
    is_off_cpu_ = !keys.is_cpu();
    if (is_off_cpu_) {
        Page& page = page_with_room(tokens, keys);
        write(keys, page.keys, length_ - begin_);
        write(values, page.values, length_ - begin_);
        length_ += tokens;
        return;
    }
    for (std::int64_t done = 0; done < tokens;) {
        Page& page = writable_page(keys);
        const std::int64_t used = length_ % page_length_;
        const std::int64_t count = std::min(tokens - done, page_length_ - used);
        write(keys.narrow(0, done, count), page.keys, used);
        write(values.narrow(0, done, count), page.values, used);
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
        const Page& all = *pages_.front();
        return {.keys = all.keys.narrow(1, begin - begin_, end - begin).to(type),
                .values = all.values.narrow(1, begin - begin_, end - begin).to(type)};
    }
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t at = begin; at < end;) {
        const Page& source = *page(at / page_length_);
        const std::int64_t first = at % page_length_;
        const std::int64_t count = std::min(end - at, page_length_ - first);
        keys.push_back(source.keys.narrow(1, first, count).to(type));
        values.push_back(source.values.narrow(1, first, count).to(type));
        at += count;
    }
    return {.keys = at::cat(keys, 1), .values = at::cat(values, 1)};
}

std::int64_t KeyValueCache::bytes() const {
    std::int64_t total = 0;
    for (const std::shared_ptr<Page>& held : pages_) {
        if (held) {
            total += static_cast<std::int64_t>(held->keys.nbytes() + held->values.nbytes());
        }
    }
    return total;
}

}  // namespace anamnesis::runtime
