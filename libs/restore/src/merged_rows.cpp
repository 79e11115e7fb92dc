// SPDX-License-Identifier: Apache-2.0
#include "merged_rows.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/method.hpp"
#include "anamnesis/restore/qk_pro.hpp"

#include "adapter_values.hpp"
#include "merge_rows.hpp"

namespace anamnesis::restore {

using checkpoint::RowRange;
using checkpoint::TensorEntry;
using linalg::Matrix;

namespace {

/// Whether some value has all bits of the exponent: it is infinite or none.
template <class Bits>
bool has_exponent(std::span<const std::byte> rows, Bits exponent) {
    bool found = false;
    for (std::size_t at = 0; at < rows.size(); at += sizeof(Bits)) {
        Bits bits = 0;
        std::memcpy(&bits, rows.data() + at, sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return found;
}

/// Errors: `numerical` where the base's type has no room for a merged value (F16 ends at 65504), or
/// the value is none.
void require_room(const TensorEntry& base, std::span<const std::byte> rows) {
    const bool is_lost =
        (base.dtype == DType::f16 && has_exponent<std::uint16_t>(rows, 0x7C00)) ||
        (base.dtype == DType::bf16 && has_exponent<std::uint16_t>(rows, 0x7F80)) ||
        (base.dtype == DType::f32 && has_exponent<std::uint32_t>(rows, 0x7F80'0000));
    if (is_lost) {
        throw Error(
            ErrorKind::numerical,
            format("a merged value of tensor {} is not a number that {} holds; {}",
                   in_quotes(base.name),
                   to_string(base.dtype),
                   base.dtype == DType::f16 ? "convert the base to BF16 or F32 first"
                                            : "look at base and adapter with 'anamnesis doctor'"));
    }
}

}  // namespace

MergedRows::MergedRows(const MergedTensor& merged, MergeRounding rounding)
    : merged_(merged), rounding_(rounding) {
    if (merged_.module != nullptr && !merged_.is_bias) {
        factors_.emplace(*merged_.module, rounding);
    }
}

bool MergedRows::is_low_rank() const {
    return factors_.has_value() && merged_.module->module->magnitude == nullptr;
}

void MergedRows::make(RowRange rows,
                      double alpha,
                      std::span<std::byte> bytes,
                      MergeScratch& scratch) const {
    if (is_low_rank()) {
        Matrix left = factors_->load_left(rows);
        if (alpha != 0.0) {
            for (double& value : left.values()) {
                value *= 1.0 - alpha;
            }
        }
        merge_left(rows, left, bytes, scratch);
        require_room(*merged_.base, bytes);
        return;
    }
    Matrix values = make_post_rows(rows);
    if (alpha != 0.0) {
        const Matrix pre = load_rows(*merged_.base, rows);
        interpolate(alpha, pre.view(), values.view(), values.view());
    }
    narrow(merged_.base->dtype, values.values(), bytes);
    require_room(*merged_.base, bytes);
}

void MergedRows::make_filtered(const ProFilter& filter,
                               double lambda,
                               RowRange rows,
                               std::span<std::byte> bytes,
                               MergeScratch& scratch) const {
    const std::array<double, 1> lambdas{lambda};
    // On the left factor alone where the difference is of low rank: that of the base is zero.
    const Matrix post = is_low_rank() ? factors_->load_left(rows) : make_post_rows(rows);
    const Matrix pre =
        is_low_rank() ? Matrix(post.rows(), post.columns()) : load_rows(*merged_.base, rows);
    Matrix filtered(post.rows(), post.columns());
    const std::array<linalg::MatrixView<double>, 1> outputs{filtered.view()};
    filter.apply(lambdas, pre.view(), post.view(), outputs);
    if (is_low_rank()) {
        merge_left(rows, filtered, bytes, scratch);
    } else {
        narrow(merged_.base->dtype, filtered.values(), bytes);
    }
    require_room(*merged_.base, bytes);
}

void MergedRows::merge_left(RowRange rows,
                            const Matrix& left,
                            std::span<std::byte> bytes,
                            MergeScratch& scratch) const {
    merged_.base->read_at(rows.begin * row_bytes(), bytes);
    factors_->merge(left.view(), merged_.base->dtype, bytes, scratch);
}

/// The rows as the adapter alone makes them, before any rounding.
Matrix MergedRows::make_post_rows(RowRange rows) const {
    if (merged_.saved != nullptr) {
        return make_saved_rows(rows);
    }
    Matrix values = load_rows(*merged_.base, rows);
    if (merged_.is_bias) {
        const Matrix added = load_rows(*merged_.module->module->bias, rows);
        for (std::size_t i = 0; i < values.rows(); ++i) {
            values(i, 0) += merged_.module->scale * added(i, 0);
        }
        return values;
    }
    const Matrix left = factors_->load_left(rows);
    factors_->add(left.view(), values.view());
    const Matrix magnitudes = load_magnitudes(rows);
    apply_magnitudes(magnitudes.values(), rounding_, values.view());
    return values;
}

/// Some versions of PEFT store the vector as [rows, 1] or [1, rows].
Matrix MergedRows::load_magnitudes(RowRange rows) const {
    const TensorEntry& magnitude = *merged_.module->module->magnitude;
    const Matrix all = load_rows(magnitude, {.begin = 0, .end = magnitude.rows()});
    Matrix part(rows.size(), 1);
    std::ranges::copy(all.values().subspan(rows.begin, rows.size()), part.values().begin());
    return part;
}

Matrix MergedRows::make_saved_rows(RowRange rows) const {
    const checkpoint::SavedTensor& saved = *merged_.saved->saved;
    if (!saved.rows) {
        return load_rows(*saved.tensor, rows);
    }
    Matrix values = load_rows(*merged_.base, rows);
    for (std::uint64_t i = 0; i < saved.rows->size(); ++i) {
        const std::uint64_t row = (*saved.rows)[i];
        if (rows.begin <= row && row < rows.end) {
            const Matrix one = load_rows(*saved.tensor, {.begin = i, .end = i + 1});
            std::ranges::copy(one.values(), values.view().row(row - rows.begin).begin());
        }
    }
    return values;
}

}  // namespace anamnesis::restore
