// SPDX-License-Identifier: Apache-2.0
#include "moment_sums.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/runtime/second_moment.hpp"

namespace anamnesis::calibration {
namespace {

/// Tokens of a product: enough that it runs at full speed, few enough that float64 copies of a
/// long text's inputs do not count.
constexpr std::int64_t block = 2048;

/// Columns of a product of which no part above the diagonal is made.
constexpr std::int64_t stripe = 512;

/// Columns that hold this many times as much as the mean are summed in float64: what float32 loses
/// of them could be more than all that a small one has. What it loses of the others is far below
/// the ridge of a fit, 1e-4 of the mean.
constexpr double large = 16.0;

/// Adds the lower triangle of a symmetric x^T y.
/// Shapes: sum [n, n], x and y [T, n].
void add_lower(const at::Tensor& sum, const at::Tensor& x, const at::Tensor& y) {
    for (std::int64_t first = 0; first < sum.size(0); first += stripe) {
        const std::int64_t end = std::min(first + stripe, sum.size(0));
        sum.slice(0, first, end)
            .slice(1, 0, end)
            .addmm_(x.slice(1, first, end).t(), y.slice(1, 0, end));
    }
}

/// Adds the lower triangle of x^T x. Shapes: sum [n, n], x [T, n] bfloat16.
void add_rounded(const at::Tensor& sum, const at::Tensor& x) {
    const at::Tensor sizes = x.to(at::kFloat).square_().sum(0, /*keepdim=*/false, at::kDouble);
    const at::Tensor columns = sizes.gt(large * sizes.mean()).nonzero().squeeze(1);
    if (columns.size(0) == 0) {
        runtime::add_second_moment(sum, x);
        return;
    }
    runtime::add_second_moment(sum, x.index_fill(1, columns, 0));
    const at::Tensor exact = x.to(at::kDouble);
    const at::Tensor rows = at::mm(exact.index_select(1, columns).t(), exact);
    sum.index_add_(0, columns, rows);
    // Where two of them meet, once.
    sum.index_add_(1, columns, rows.index_fill(1, columns, 0).t());
}

linalg::Matrix to_matrix(const at::Tensor& tensor) {
    const at::Tensor host = tensor.to(at::kCPU).contiguous();
    linalg::Matrix matrix(static_cast<std::size_t>(host.size(0)),
                          static_cast<std::size_t>(host.size(1)));
    std::memcpy(
        matrix.values().data(), host.const_data_ptr<double>(), matrix.values().size_bytes());
    return matrix;
}

}  // namespace

void MomentSums::add(const restore::MomentKey& key,
                     const at::Tensor& x,
                     const at::Tensor& weights,
                     const MomentShape& shape,
                     std::optional<std::int64_t> only) {
    is_complete_ = false;
    const std::int64_t size = x.size(1) + (shape.has_bias ? 1 : 0);
    Sum& sum = sums_[key];
    if (!sum.values.defined()) {
        sum.values = at::zeros({shape.matrices, size, size},
                               at::TensorOptions(at::kDouble).device(x.device()));
        sum.counts.resize(static_cast<std::size_t>(shape.matrices));
    }
    const std::int64_t first_matrix = only.value_or(0);
    const std::int64_t matrices = only ? 1 : shape.matrices;
    for (std::int64_t i = first_matrix; i < first_matrix + matrices; ++i) {
        sum.counts.at(static_cast<std::size_t>(i)) += static_cast<std::uint64_t>(x.size(0));
    }
    const bool is_rounded = shape.is_rounded && x.is_cpu() && runtime::has_bf16_products();
    const at::ScalarType type = is_rounded ? at::kFloat : at::kDouble;
    for (std::int64_t first = 0; first < x.size(0); first += block) {
        const std::int64_t count = std::min(block, x.size(0) - first);
        at::Tensor rows = x.narrow(0, first, count).to(type);
        if (shape.has_bias) {
            rows = at::cat({rows, at::ones({count, 1}, rows.options())}, 1);
        }
        for (std::int64_t i = 0; i < matrices; ++i) {
            const at::Tensor sum_of = sum.values.select(0, first_matrix + i);
            const at::Tensor of_rows =
                weights.defined()
                    ? weights.narrow(0, first, count).narrow(1, i, 1).to(rows.device())
                    : at::Tensor();
            if (is_rounded) {
                const at::Tensor weighed =
                    of_rows.defined() ? rows * of_rows.sqrt().to(type) : rows;
                add_rounded(sum_of, weighed.to(at::kBFloat16).contiguous());
            } else {
                add_lower(sum_of, of_rows.defined() ? rows * of_rows : rows, rows);
            }
        }
    }
}

void MomentSums::add_target(const restore::MomentKey& key,
                            const at::Tensor& y,
                            const at::Tensor& x) {
    at::Tensor& target = sums_.at(key).target;
    if (!target.defined()) {
        target =
            at::zeros({y.size(1), x.size(1)}, at::TensorOptions(at::kDouble).device(x.device()));
    }
    for (std::int64_t first = 0; first < x.size(0); first += block) {
        const std::int64_t count = std::min(block, x.size(0) - first);
        target.addmm_(y.narrow(0, first, count).to(at::kDouble).t(),
                      x.narrow(0, first, count).to(at::kDouble));
    }
}

void MomentSums::count(const restore::MomentKey& key,
                       const at::Tensor& ids,
                       std::int64_t vocabulary) {
    Sum& sum = sums_[key];
    if (!sum.values.defined()) {
        sum = {.values = at::zeros({vocabulary}, at::kDouble), .target = {}, .counts = {0}};
    }
    sum.values.index_add_(0, ids, at::ones(ids.sizes(), at::kDouble));
    sum.counts.front() += static_cast<std::uint64_t>(ids.size(0));
}

void MomentSums::complete() {
    is_complete_ = true;
    for (auto& [_, sum] : sums_) {
        if (sum.values.dim() < 3) {
            continue;  // a diagonal
        }
        for (std::int64_t first = 0; first < sum.values.size(1); first += stripe) {
            const std::int64_t end = std::min(first + stripe, sum.values.size(1));
            const at::Tensor rows = sum.values.slice(1, first, end);
            const at::Tensor diagonal = rows.slice(2, first, end);
            diagonal.copy_(diagonal.tril() + diagonal.tril(-1).transpose(1, 2));
            sum.values.slice(1, 0, first)
                .slice(2, first, end)
                .copy_(rows.slice(2, 0, first).transpose(1, 2));
        }
    }
}

void MomentSums::require_complete() const {
    ANAMNESIS_CHECK(is_complete_, "moments whose upper triangles are missing");
}

void MomentSums::add(const MomentSums& other) {
    other.require_complete();
    require_complete();
    for (const auto& [key, sum] : other.sums_) {
        Sum& own = sums_[key];
        if (!own.values.defined()) {
            own = {.values = sum.values.clone(),
                   .target = sum.target.defined() ? sum.target.clone() : at::Tensor(),
                   .counts = sum.counts};
            continue;
        }
        own.values = own.values + sum.values;
        if (sum.target.defined()) {
            own.target = own.target + sum.target;
        }
        for (std::size_t i = 0; i < own.counts.size(); ++i) {
            own.counts[i] += sum.counts.at(i);
        }
    }
}

void MomentSums::add_held_back(const MomentSums& other) {
    MomentSums apart;
    for (const auto& [key, sum] : other.sums_) {
        restore::MomentKey of_held_back = key;
        of_held_back.is_held_back = true;
        apart.sums_[of_held_back] = sum;
    }
    add(other);
    add(apart);
}

void MomentSums::merge(MomentSums&& other) {
    other.require_complete();
    sums_.merge(other.sums_);
}

void MomentSums::forget_held_back() {
    std::erase_if(sums_, [](const auto& entry) { return entry.first.is_held_back; });
}

const at::Tensor& MomentSums::at(const restore::MomentKey& key) const {
    require_complete();
    const auto found = sums_.find(key);
    ANAMNESIS_CHECK(found != sums_.end(), "a moment that nothing was added to");
    return found->second.values;
}

void MomentSums::replace(const restore::MomentKey& key, at::Tensor sum) {
    const auto found = sums_.find(key);
    ANAMNESIS_CHECK(found != sums_.end(), "a moment that nothing was added to");
    found->second.values = std::move(sum);
}

std::vector<restore::MomentKey> MomentSums::keys() const {
    std::vector<restore::MomentKey> keys;
    for (const auto& [key, _] : sums_) {
        keys.push_back(key);
    }
    return keys;
}

restore::Moment MomentSums::to_moment(const Sum& sum) {
    restore::Moment moment{.counts = sum.counts};
    const at::Tensor host = sum.values.to(at::kCPU).contiguous();
    if (host.dim() == 1) {
        const auto* first = host.const_data_ptr<double>();
        moment.diagonal.assign(first, first + host.size(0));
    }
    for (std::int64_t i = 0; host.dim() > 1 && i < host.size(0); ++i) {
        moment.matrices.push_back(to_matrix(host.select(0, i)));
    }
    if (sum.target.defined()) {
        moment.target = to_matrix(sum.target);
    }
    return moment;
}

restore::MomentSet MomentSums::finish() const {
    require_complete();
    restore::MomentSet set;
    for (const auto& [key, sum] : sums_) {
        set.set(key, to_moment(sum));
    }
    return set;
}

restore::MomentSet MomentSums::give_up() {
    require_complete();
    restore::MomentSet set;
    while (!sums_.empty()) {
        auto first = sums_.extract(sums_.begin());
        set.set(first.key(), to_moment(first.mapped()));
    }
    return set;
}

at::Tensor scaled(const at::Tensor& moment) {
    const at::Tensor trace = moment.diagonal(0, 1, 2).sum(-1).mean();
    return moment / trace * static_cast<double>(moment.size(2));
}

}  // namespace anamnesis::calibration
