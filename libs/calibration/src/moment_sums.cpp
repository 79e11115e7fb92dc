// SPDX-License-Identifier: Apache-2.0
#include "moment_sums.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"

namespace anamnesis::calibration {
namespace {

/// Tokens of a product: enough that it runs at full speed, few enough that float64 copies of a
/// long text's inputs do not count.
constexpr std::int64_t block = 2048;

}  // namespace

void MomentSums::add(const restore::MomentKey& key,
                     const at::Tensor& x,
                     const at::Tensor& weights,
                     bool has_bias) {
    const std::int64_t size = x.size(1) + (has_bias ? 1 : 0);
    const std::int64_t heads = weights.defined() ? weights.size(1) : 1;
    at::Tensor& sum = sums_[key];
    if (!sum.defined()) {
        sum = at::zeros({heads, size, size}, at::TensorOptions(at::kDouble).device(x.device()));
    }
    for (std::int64_t first = 0; first < x.size(0); first += block) {
        const std::int64_t count = std::min(block, x.size(0) - first);
        at::Tensor rows = x.narrow(0, first, count).to(at::kDouble);
        if (has_bias) {
            rows = at::cat({rows, at::ones({count, 1}, rows.options())}, 1);
        }
        for (std::int64_t head = 0; head < heads; ++head) {
            const at::Tensor weighed =
                weights.defined() ? rows * weights.narrow(0, first, count).narrow(1, head, 1)
                                  : rows;
            sum.select(0, head).addmm_(weighed.t(), rows);
        }
    }
}

void MomentSums::add(const MomentSums& other) {
    for (const auto& [key, sum] : other.sums_) {
        at::Tensor& own = sums_[key];
        own = own.defined() ? own + sum : sum.clone();
    }
}

const at::Tensor& MomentSums::at(const restore::MomentKey& key) const {
    const auto found = sums_.find(key);
    ANAMNESIS_CHECK(found != sums_.end(), "a moment that nothing was added to");
    return found->second;
}

restore::MomentSet MomentSums::finish() const {
    restore::MomentSet set;
    for (const auto& [key, sum] : sums_) {
        const at::Tensor host = sum.to(at::kCPU).contiguous();
        const auto size = static_cast<std::size_t>(host.size(1));
        restore::Moment moment;
        for (std::int64_t head = 0; head < host.size(0); ++head) {
            linalg::Matrix& matrix = moment.emplace_back(size, size);
            std::memcpy(matrix.values().data(),
                        host.select(0, head).const_data_ptr<double>(),
                        matrix.values().size_bytes());
        }
        set.set(key, std::move(moment));
    }
    return set;
}

at::Tensor scaled(const at::Tensor& moment) {
    const at::Tensor trace = moment.diagonal(0, 1, 2).sum(-1).mean();
    return moment / trace * static_cast<double>(moment.size(2));
}

}  // namespace anamnesis::calibration
