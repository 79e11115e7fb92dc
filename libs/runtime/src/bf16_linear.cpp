// SPDX-License-Identifier: Apache-2.0
#include "bf16_linear.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "anamnesis/base/check.hpp"

#include "bf16_matrix.hpp"

namespace anamnesis::runtime {
namespace {

/// Panels that a thread works on stay in its second cache.
constexpr std::size_t most_packed_bytes = 512 * 1024;
/// Threads that others hold up leave their pieces to the rest.
constexpr std::size_t pieces_of_thread = 8;
/// Fewer rows do not pay for packing what they meet once more.
constexpr std::size_t least_rows = 192;

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) {
    return (a + b - 1) / b;
}

/// A product cut into pieces that threads take one after another.
class Pieces {
public:
    Pieces(const cpu::MatrixProduct& product, std::size_t threads)
        : rows_(product.rows), panels_(ceil_div(product.outputs, cpu::panel_outputs)) {
        const std::size_t wanted = threads == 1 ? 1 : threads * pieces_of_thread;
        const std::size_t fitting = std::max<std::size_t>(
            1, most_packed_bytes / (cpu::panel_size(product.inputs) * sizeof(cpu::Bf16)));
        panels_at_once_ = std::clamp<std::size_t>(panels_ / wanted, 1, fitting);
        across_ = ceil_div(panels_, panels_at_once_);
        const std::size_t cuts = std::clamp<std::size_t>(
            ceil_div(wanted, across_), 1, std::max<std::size_t>(1, rows_ / least_rows));
        rows_at_once_ = ceil_div(rows_, cuts);
        down_ = ceil_div(rows_, rows_at_once_);
    }

    std::size_t size() const noexcept { return across_ * down_; }
    std::size_t panels_at_once() const noexcept { return panels_at_once_; }

    cpu::ProductPiece at(std::size_t i) const {
        const std::size_t row = i % down_ * rows_at_once_;
        const std::size_t panel = i / down_ * panels_at_once_;
        return {.first_row = row,
                .last_row = std::min(row + rows_at_once_, rows_),
                .first_panel = panel,
                .last_panel = std::min(panel + panels_at_once_, panels_)};
    }

private:
    std::size_t rows_;
    std::size_t panels_;
    std::size_t panels_at_once_ = 1;
    std::size_t across_ = 1;
    std::size_t rows_at_once_ = 1;
    std::size_t down_ = 1;
};

/// Calls compute(piece, thread) for every piece.
template <class Compute>
void for_each_piece(const Pieces& pieces, std::size_t threads, const Compute& compute) {
    std::atomic<std::size_t> next{0};
    at::parallel_for(
        0, static_cast<std::int64_t>(threads), 1, [&](std::int64_t begin, std::int64_t /*end*/) {
            for (std::size_t i = next++; i < pieces.size(); i = next++) {
                compute(pieces.at(i), static_cast<std::size_t>(begin));
            }
        });
}

const cpu::Bf16* values_of(const at::Tensor& tensor) {
    return static_cast<const cpu::Bf16*>(tensor.const_data_ptr());
}

cpu::MatrixProduct product_of(const at::Tensor& rows, const at::Tensor& weight) {
    ANAMNESIS_CHECK(
        has_bf16_panels(rows, weight) && rows.is_contiguous() && rows.size(-1) == weight.size(1),
        "factors of one inner size, in bfloat16");
    return {.x = values_of(rows),
            .rows = static_cast<std::size_t>(rows.numel() / rows.size(-1)),
            .inputs = static_cast<std::size_t>(weight.size(1)),
            .outputs = static_cast<std::size_t>(weight.size(0))};
}

/// Memory of each thread, as many values of one type; LibTorch aligns it to lines of the cache.
at::Tensor memory_of(std::size_t threads, std::size_t values, at::ScalarType type) {
    return at::empty({static_cast<std::int64_t>(threads), static_cast<std::int64_t>(values)}, type);
}

at::Tensor empty_outputs(const at::Tensor& x, std::int64_t outputs, at::ScalarType type) {
    std::vector<std::int64_t> sizes = x.sizes().vec();
    sizes.back() = outputs;
    return at::empty(sizes, type);
}

}  // namespace

bool has_bf16_panels(const at::Tensor& x, const at::Tensor& weight) {
    return cpu::has_bf16_products() && !cpu::has_bf16_tiles() && x.is_cpu() && weight.is_cpu() &&
           x.scalar_type() == at::kBFloat16 && weight.scalar_type() == at::kBFloat16 &&
           weight.is_contiguous() && weight.size(1) > 0 && weight.size(1) % 2 == 0;
}

at::Tensor panel_product(const at::Tensor& x, const at::Tensor& weight) {
    const at::Tensor rows = x.contiguous();
    const cpu::MatrixProduct product = product_of(rows, weight);
    const auto threads = static_cast<std::size_t>(at::get_num_threads());
    const Pieces pieces(product, threads);
    at::Tensor y = empty_outputs(x, weight.size(0), at::kFloat);
    auto* sums = y.mutable_data_ptr<float>();
    const std::size_t size = pieces.panels_at_once() * cpu::panel_size(product.inputs);
    const at::Tensor memory = memory_of(threads, size, at::kBFloat16);
    auto* packed = static_cast<cpu::Bf16*>(memory.mutable_data_ptr());
    for_each_piece(pieces, threads, [&](const cpu::ProductPiece& piece, std::size_t thread) {
        cpu::multiply(product, values_of(weight), sums, piece, packed + thread * size);
    });
    return y;
}

at::Tensor panel_swiglu(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up) {
    ANAMNESIS_CHECK(gate.sizes() == up.sizes() && has_bf16_panels(x, up), "two matrices of a size");
    const at::Tensor rows = x.contiguous();
    const cpu::MatrixProduct product = product_of(rows, gate);
    const auto threads = static_cast<std::size_t>(at::get_num_threads());
    const Pieces pieces(product, threads);
    at::Tensor y = empty_outputs(x, gate.size(0), at::kBFloat16);
    auto* results = static_cast<cpu::Bf16*>(y.mutable_data_ptr());
    const std::size_t size = 2 * cpu::panel_size(product.inputs);
    const at::Tensor memory = memory_of(threads, size, at::kBFloat16);
    const at::Tensor sums = memory_of(threads, cpu::swiglu_sums, at::kFloat);
    auto* packed = static_cast<cpu::Bf16*>(memory.mutable_data_ptr());
    auto* partial = sums.mutable_data_ptr<float>();
    for_each_piece(pieces, threads, [&](const cpu::ProductPiece& piece, std::size_t thread) {
        cpu::multiply_swiglu(product,
                             values_of(gate),
                             values_of(up),
                             results,
                             piece,
                             packed + thread * size,
                             partial + thread * cpu::swiglu_sums);
    });
    return y;
}

}  // namespace anamnesis::runtime
