// SPDX-License-Identifier: Apache-2.0
#include "differentiable.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_gradients.hpp"
#include "cpu_kernels.hpp"

namespace anamnesis::runtime::differentiable {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t grain = 1 << 14;  ///< values that are worth a thread

std::size_t size(std::int64_t count) {
    return static_cast<std::size_t>(count);
}

const float* data(const at::Tensor& x) {
    return x.const_data_ptr<float>();
}

float* target(at::Tensor& x) {
    return x.mutable_data_ptr<float>();
}

bool is_plain(const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat;
}

/// Values [begin, end) of tensors of the same size, shared out among threads.
void for_values(std::int64_t count,
                const std::function<void(std::size_t begin, std::size_t count)>& work) {
    at::parallel_for(0, count, grain, [&](std::int64_t begin, std::int64_t end) {
        work(size(begin), size(end - begin));
    });
}

struct RmsNorm : Function<RmsNorm> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& x,
                              const at::Tensor& gain,
                              double eps) {
        const at::Tensor source = x.contiguous();
        context->save_for_backward({source, gain});
        context->saved_data["eps"] = eps;
        at::Tensor y = at::empty_like(source);
        const std::int64_t width = x.size(-1);
        const float* from = data(source);
        float* to = target(y);
        const cpu::Norm norm{
            .gain = data(gain), .eps = static_cast<float>(eps), .columns = size(width)};
        at::parallel_for(
            0, x.numel() / width, 1 + grain / width, [&](std::int64_t begin, std::int64_t end) {
                cpu::rms_norm(from + begin * width, norm, to + begin * width, size(end - begin));
            });
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor& x = saved[0];
        const at::Tensor& gain = saved[1];
        const auto eps = static_cast<float>(context->saved_data["eps"].toDouble());
        const at::Tensor d_y = gradients.front().contiguous();
        at::Tensor d_x = at::empty_like(x);
        const std::int64_t width = x.size(-1);
        const std::int64_t rows = x.numel() / width;
        // Each part sums for itself; the order of the parts is the order of the rows.
        const std::int64_t parts = std::clamp<std::int64_t>(
            rows * width / grain, 1, static_cast<std::int64_t>(at::get_num_threads()));
        at::Tensor d_gain = at::zeros({parts, width}, x.options());
        const float* from = data(x);
        const float* factors = data(gain);
        const float* upstream = data(d_y);
        float* to = target(d_x);
        float* sums = target(d_gain);
        at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t part = first; part < last; ++part) {
                const std::int64_t begin = rows * part / parts;
                const std::int64_t end = rows * (part + 1) / parts;
                cpu::rms_norm_backward(from + begin * width,
                                       factors,
                                       eps,
                                       upstream + begin * width,
                                       to + begin * width,
                                       sums + part * width,
                                       size(end - begin),
                                       size(width));
            }
        });
        return {d_x, context->needs_input_grad(1) ? d_gain.sum(0) : at::Tensor(), {}};
    }
};

struct SwiGlu : Function<SwiGlu> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& g, const at::Tensor& u) {
        const at::Tensor gate = g.contiguous();
        const at::Tensor up = u.contiguous();
        context->save_for_backward({gate, up});
        at::Tensor y = at::empty_like(gate);
        const float* gates = data(gate);
        const float* ups = data(up);
        float* to = target(y);
        for_values(gate.numel(), [=](std::size_t begin, std::size_t count) {
            cpu::swiglu_forward(gates + begin, ups + begin, to + begin, count);
        });
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor d_y = gradients.front().contiguous();
        at::Tensor d_gate = at::empty_like(d_y);
        at::Tensor d_up = at::empty_like(d_y);
        const float* gates = data(saved[0]);
        const float* ups = data(saved[1]);
        const float* upstream = data(d_y);
        float* to_gate = target(d_gate);
        float* to_up = target(d_up);
        for_values(d_y.numel(), [=](std::size_t i, std::size_t count) {
            cpu::swiglu_backward(gates + i, ups + i, upstream + i, to_gate + i, to_up + i, count);
        });
        return {d_gate, d_up};
    }
};

struct Gated : Function<Gated> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& v, const at::Tensor& g) {
        const at::Tensor x = v.contiguous();
        const at::Tensor gate = g.contiguous();
        context->save_for_backward({x, gate});
        at::Tensor y = at::empty_like(x);
        const float* values = data(x);
        const float* gates = data(gate);
        float* to = target(y);
        for_values(x.numel(), [=](std::size_t begin, std::size_t count) {
            cpu::gated_forward(values + begin, gates + begin, to + begin, count);
        });
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor d_y = gradients.front().contiguous();
        at::Tensor d_x = at::empty_like(d_y);
        at::Tensor d_gate = at::empty_like(d_y);
        const float* values = data(saved[0]);
        const float* gates = data(saved[1]);
        const float* upstream = data(d_y);
        float* to_x = target(d_x);
        float* to_gate = target(d_gate);
        for_values(d_y.numel(), [=](std::size_t i, std::size_t count) {
            cpu::gated_backward(values + i, gates + i, upstream + i, to_x + i, to_gate + i, count);
        });
        return {d_x, d_gate};
    }
};

/// Every head of every token turned forwards (1) or back (-1).
at::Tensor turned(const at::Tensor& x, const RotaryTables& tables, float direction) {
    const at::Tensor source = x.contiguous();
    at::Tensor y = at::empty_like(source);
    const std::int64_t length = x.size(1);
    const std::int64_t heads = x.size(2);
    const std::int64_t dim = x.size(3);
    const std::int64_t pairs = tables.cosine.size(-1);
    const bool is_shared = tables.cosine.size(0) == 1;
    const float* from = data(source);
    float* to = target(y);
    const at::Tensor cosine = tables.cosine.contiguous();
    const at::Tensor sine = tables.sine.contiguous();
    const float* cosines = data(cosine);
    const float* sines = data(sine);
    at::parallel_for(0,
                     x.size(0) * length,
                     1 + grain / (heads * dim),
                     [=](std::int64_t begin, std::int64_t end) {
                         for (std::int64_t row = begin; row < end; ++row) {
                             const std::int64_t table = (is_shared ? row % length : row) * pairs;
                             for (std::int64_t head = 0; head < heads; ++head) {
                                 const std::int64_t place = (row * heads + head) * dim;
                                 cpu::rotate_to(from + place,
                                                cosines + table,
                                                sines + table,
                                                direction,
                                                to + place,
                                                size(pairs),
                                                size(dim));
                             }
                         }
                     });
    return y;
}

struct Rotate : Function<Rotate> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& x,
                              const at::Tensor& cosine,
                              const at::Tensor& sine) {
        context->save_for_backward({cosine, sine});
        return turned(x, {.cosine = cosine, .sine = sine}, 1.0F);
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        return {turned(gradients.front(), {.cosine = saved[0], .sine = saved[1]}, -1.0F), {}, {}};
    }
};

/// Calls `work(i, head, values)` for each head of each text: its number, its queries, its values.
struct LightningShape {
    LightningShape(const at::Tensor& q, const at::Tensor& v)
        : length(q.size(1)),
          heads(q.size(2)),
          key_dim(q.size(3)),
          value_dim(v.size(3)),
          count(q.size(0) * heads),
          states(static_cast<std::int64_t>(
              cpu::lightning_states(size(length), size(key_dim), size(value_dim)))) {}

    std::int64_t key_place(std::int64_t i) const {
        return (i / heads * length * heads + i % heads) * key_dim;
    }
    std::int64_t value_place(std::int64_t i) const {
        return (i / heads * length * heads + i % heads) * value_dim;
    }
    cpu::LightningHead head(const at::Tensor& q,
                            const at::Tensor& k,
                            const at::Tensor& v,
                            const at::Tensor& decay,
                            double scale,
                            std::int64_t i) const {
        return {.q = data(q) + key_place(i),
                .k = data(k) + key_place(i),
                .v = data(v) + value_place(i),
                .length = size(length),
                .key_dim = size(key_dim),
                .value_dim = size(value_dim),
                .key_stride = size(heads * key_dim),
                .value_stride = size(heads * value_dim),
                .decay = data(decay)[i % heads],
                .scale = static_cast<float>(scale)};
    }
    std::vector<float> scratch() const {
        return std::vector<float>(cpu::lightning_scratch(size(key_dim), size(value_dim)));
    }

    std::int64_t length, heads, key_dim, value_dim;
    std::int64_t count;   ///< heads of all texts
    std::int64_t states;  ///< values of a head's states
};

struct Lightning : Function<Lightning> {
    static at::Tensor forward(AutogradContext* context,
                              const at::Tensor& queries,
                              const at::Tensor& keys,
                              const at::Tensor& values,
                              const at::Tensor& decay,
                              double scale) {
        const at::Tensor q = queries.contiguous();
        const at::Tensor k = keys.contiguous();
        const at::Tensor v = values.contiguous();
        const LightningShape shape(q, v);
        at::Tensor states = at::empty({shape.count, shape.states}, q.options());
        at::Tensor y = at::empty_like(v);
        float* to = target(y);
        float* kept = target(states);
        at::parallel_for(0, shape.count, 1, [&](std::int64_t begin, std::int64_t end) {
            std::vector<float> scratch = shape.scratch();
            for (std::int64_t i = begin; i < end; ++i) {
                cpu::lightning_forward(shape.head(q, k, v, decay, scale, i),
                                       to + shape.value_place(i),
                                       kept + i * shape.states,
                                       scratch.data());
            }
        });
        context->save_for_backward({q, k, v, decay, states});
        context->saved_data["scale"] = scale;
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor& q = saved[0];
        const at::Tensor& k = saved[1];
        const at::Tensor& v = saved[2];
        const double scale = context->saved_data["scale"].toDouble();
        const LightningShape shape(q, v);
        const at::Tensor d_y = gradients.front().contiguous();
        at::Tensor d_q = at::empty_like(q);
        at::Tensor d_k = at::empty_like(k);
        at::Tensor d_v = at::empty_like(v);
        const float* upstream = data(d_y);
        const float* kept = data(saved[4]);
        float* to_q = target(d_q);
        float* to_k = target(d_k);
        float* to_v = target(d_v);
        at::parallel_for(0, shape.count, 1, [&](std::int64_t begin, std::int64_t end) {
            std::vector<float> scratch = shape.scratch();
            for (std::int64_t i = begin; i < end; ++i) {
                cpu::lightning_backward(shape.head(q, k, v, saved[3], scale, i),
                                        kept + i * shape.states,
                                        upstream + shape.value_place(i),
                                        to_q + shape.key_place(i),
                                        to_k + shape.key_place(i),
                                        to_v + shape.value_place(i),
                                        scratch.data());
            }
        });
        return {d_q, d_k, d_v, {}, {}};
    }
};

}  // namespace

bool applies_to(const at::Tensor& x) {
    return at::GradMode::is_enabled() && is_plain(x) && x.numel() > 0;
}

bool applies_to(const at::Tensor& x, const at::Tensor& y) {
    return applies_to(x) && is_plain(y) && (x.requires_grad() || y.requires_grad());
}

bool applies_to(const Recurrence& r) {
    return applies_to(r.q) && is_plain(r.k) && is_plain(r.v) && is_plain(r.decay) &&
           r.decay.dim() == 1 && !r.decay.requires_grad() && !r.beta.defined() &&
           !r.state.defined();
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double eps) {
    return RmsNorm::apply(x, gain, eps);
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
    return SwiGlu::apply(gate, up);
}

at::Tensor gated(const at::Tensor& y, const at::Tensor& gate) {
    return Gated::apply(y, gate);
}

at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables) {
    return Rotate::apply(x, tables.cosine, tables.sine);
}

at::Tensor lightning(const Recurrence& r) {
    return Lightning::apply(r.q, r.k, r.v, r.decay, r.scale);
}

}  // namespace anamnesis::runtime::differentiable
