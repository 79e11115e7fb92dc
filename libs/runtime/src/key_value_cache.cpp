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

KeyValueCache::Page& KeyValueCache::writable_page(const at::Tensor& like) {
    const std::int64_t used = length_ % page_length_;
    const auto make = [&] {
        const auto options = like.options().dtype(type_);
        return Page{.keys = at::empty({like.size(1), page_length_, like.size(2)}, options),
                    .values = at::empty({like.size(1), page_length_, like.size(2)}, options)};
    };
    if (used == 0) {
        pages_.push_back(std::make_shared<Page>(make()));
    } else if (pages_.back().use_count() > 1) {
        Page copy = make();
        copy.keys.narrow(1, 0, used).copy_(pages_.back()->keys.narrow(1, 0, used));
        copy.values.narrow(1, 0, used).copy_(pages_.back()->values.narrow(1, 0, used));
        pages_.back() = std::make_shared<Page>(std::move(copy));
    }
    return *pages_.back();
}

void KeyValueCache::append(const at::Tensor& keys, const at::Tensor& values) {
    check_shape(values, keys.sizes(), "values of a cache");
    const std::int64_t tokens = keys.size(0);
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
    const std::int64_t whole = std::min(position, length_) / page_length_;
    for (std::int64_t i = 0; i < whole; ++i) {
        pages_[static_cast<std::size_t>(i)].reset();
    }
}

KeyValueCache::Page KeyValueCache::gather(std::int64_t begin,
                                          std::int64_t end,
                                          at::ScalarType type) const {
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
