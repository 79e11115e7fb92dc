// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "bf16_attention.hpp"
#include "cpu_kernels.hpp"
#include "differentiable.hpp"

namespace anamnesis::runtime::differentiable {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// The heads of all texts, and where each lies.
struct AttentionHeads {
    AttentionHeads(const at::Tensor& queries,
                   const at::Tensor& keys,
                   const at::Tensor& values,
                   std::int64_t seen)
        : q(queries), k(keys), v(values), window(std::min(seen, queries.size(1))) {}

    std::int64_t length() const { return q.size(1); }
    std::int64_t heads() const { return q.size(2); }
    std::int64_t dim() const { return q.size(3); }
    std::int64_t count() const { return q.size(0) * heads(); }
    std::int64_t group() const { return heads() / k.size(2); }

    std::int64_t query_place(std::int64_t i) const {
        return (i / heads() * length() * heads() + i % heads()) * dim();
    }
    std::int64_t key_place(std::int64_t i) const {
        return (i / heads() * length() * k.size(2) + i % heads() / group()) * dim();
    }
    cpu::AttentionHead head(std::int64_t i) const {
        return {.q = q.const_data_ptr<float>() + query_place(i),
                .k = k.const_data_ptr<float>() + key_place(i),
                .v = v.const_data_ptr<float>() + key_place(i),
                .length = static_cast<std::size_t>(length()),
                .dim = static_cast<std::size_t>(dim()),
                .query_stride = static_cast<std::size_t>(heads() * dim()),
                .key_stride = static_cast<std::size_t>(k.size(2) * dim()),
                .window = static_cast<std::size_t>(window)};
    }

    /// `work(i, memory)` for every head; each thread has its own memory.
    template <class Work>
    void for_each(const Work& work) const {
        at::parallel_for(0, count(), 1, [&](std::int64_t begin, std::int64_t end) {
            cpu::AttentionMemory memory(static_cast<std::size_t>(length()),
                                        static_cast<std::size_t>(dim()));
            for (std::int64_t i = begin; i < end; ++i) {
                work(i, memory);
            }
        });
    }

    /// Rows of query heads, summed over those that share a key head.
    at::Tensor sum_groups(const at::Tensor& rows) const {
        return group() == 1 ? rows
                            : rows.view({q.size(0), length(), k.size(2), group(), dim()}).sum(3);
    }

    at::Tensor q, k, v;
    std::int64_t window;
};

struct Attention : Function<Attention> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& queries,
                              const at::Tensor& keys,
                              const at::Tensor& values,
                              std::int64_t window) {
        const AttentionHeads heads(
            queries.contiguous(), keys.contiguous(), values.contiguous(), window);
        at::Tensor y = at::empty_like(heads.q);
        at::Tensor normalisers = at::empty({heads.count(), heads.length()}, y.options());
        auto* outputs = y.mutable_data_ptr<float>();
        auto* sums = normalisers.mutable_data_ptr<float>();
        heads.for_each([&](std::int64_t i, cpu::AttentionMemory& memory) {
            cpu::attention_forward(
                heads.head(i), outputs + heads.query_place(i), sums + i * heads.length(), memory);
        });
        context->save_for_backward({heads.q, heads.k, heads.v, y, normalisers});
        context->saved_data["window"] = window;
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const AttentionHeads heads(
            saved[0], saved[1], saved[2], context->saved_data["window"].toInt());
        const at::Tensor d_y = gradients.front().contiguous();
        at::Tensor d_q = at::empty_like(heads.q);
        at::Tensor d_k = at::empty_like(heads.q);
        at::Tensor d_v = at::empty_like(heads.q);
        const auto* outputs = saved[3].const_data_ptr<float>();
        const auto* normalisers = saved[4].const_data_ptr<float>();
        const auto* upstream = d_y.const_data_ptr<float>();
        auto* to_q = d_q.mutable_data_ptr<float>();
        auto* to_k = d_k.mutable_data_ptr<float>();
        auto* to_v = d_v.mutable_data_ptr<float>();
        heads.for_each([&](std::int64_t i, cpu::AttentionMemory& memory) {
            const std::int64_t place = heads.query_place(i);
            cpu::attention_backward(heads.head(i),
                                    {.y = outputs + place,
                                     .normalisers = normalisers + i * heads.length(),
                                     .d_y = upstream + place,
                                     .d_q = to_q + place,
                                     .d_k = to_k + place,
                                     .d_v = to_v + place},
                                    memory);
        });
        return {d_q, heads.sum_groups(d_k), heads.sum_groups(d_v), {}};
    }
};

}  // namespace

bool can_attend(const at::Tensor& q, const at::Tensor& v) {
    constexpr std::int64_t last_position = std::int64_t{1} << 30;
    return applies_to(q, v) && cpu::has_bf16_products() && q.size(-1) == v.size(-1) &&
           q.size(-1) % static_cast<std::int64_t>(cpu::attention_dim_step) == 0 &&
           q.size(1) < last_position;
}

at::Tensor attend(const at::Tensor& q,
                  const at::Tensor& k,
                  const at::Tensor& v,
                  std::optional<std::int64_t> window) {
    return Attention::apply(q, k, v, window.value_or(q.size(1)));
}

}  // namespace anamnesis::runtime::differentiable
