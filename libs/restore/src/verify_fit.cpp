// SPDX-License-Identifier: Apache-2.0
#include "verify_fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {
namespace {

/// Of a tensor's values, those that may be one step away.
constexpr double most_unequal = 0.001;

struct Comparison {
    std::uint64_t values = 0;
    std::uint64_t unequal = 0;
    std::uint64_t rows = 0;
    std::vector<std::uint64_t> far;  ///< rows with a value more than one step away
};

/// The relative distance of neighbours in a type.
double find_step(DType dtype) {
    switch (dtype) {
        case DType::bf16:
            return std::ldexp(1.0, -7);
        case DType::f16:
            return std::ldexp(1.0, -10);
        case DType::f32:
            return std::ldexp(1.0, -23);
        default:
            return std::ldexp(1.0, -40);  // float64 keeps what the arithmetic rounds
    }
}

void compare(const checkpoint::TensorEntry& repaired,
             const HeadRows& rows,
             linalg::MatrixView<const double> values,
             std::size_t first_column,
             Comparison& comparison) {
    const DType dtype = repaired.dtype;
    const std::size_t columns = repaired.columns();
    const std::uint64_t row_bytes = repaired.row_bytes();
    std::vector<std::byte> stored(row_bytes);
    std::vector<std::byte> rounded(row_bytes);
    std::vector<double> found(columns);
    std::vector<double> expected(columns);
    double scale = 0.0;
    for (std::size_t row = 0; row < values.rows(); ++row) {
        for (const double value : values.row(row)) {
            scale = std::max(scale, std::abs(value));
        }
    }
    const std::vector<double> in_order = order_as_stored(rows, values, first_column);
    for (std::uint64_t row = 0; row < rows.rows; ++row) {
        repaired.read_at((rows.post_row + row) * row_bytes, stored);
        narrow(dtype, std::span(in_order).subspan(row * columns, columns), rounded);
        widen(dtype, stored, found);
        widen(dtype, rounded, expected);
        bool is_far = false;
        for (std::size_t i = 0; i < columns; ++i) {
            ++comparison.values;
            if (found[i] == expected[i]) {
                continue;
            }
            ++comparison.unequal;
            // Of values that nearly cancel, the arithmetic's own rounding is more than a step.
            const double step = find_step(dtype) * std::abs(expected[i]) + 1e-9 * scale;
            is_far = is_far || !(std::abs(found[i] - expected[i]) <= step);
        }
        ++comparison.rows;
        if (is_far) {
            comparison.far.push_back(rows.post_row + row);
        }
    }
}

void add_comparison(const std::string& name, const Comparison& comparison, Verification& result) {
    const bool has_many = static_cast<double>(comparison.unequal) >
                          most_unequal * static_cast<double>(comparison.values);
    if (!comparison.far.empty() || has_many) {
        result.deviations.push_back(
            format("tensor {}: {} of {} values are not those that the moments give, in {} rows by "
                   "more than a rounding{}",
                   in_quotes(name),
                   comparison.unequal,
                   comparison.values,
                   comparison.far.size(),
                   comparison.far.empty() ? std::string()
                                          : format(", the first row {}", comparison.far.front())));
        return;
    }
    result.rows_recomputed += comparison.rows;
    for (TensorVerdict& verdict : result.tensors) {
        if (verdict.name == name) {
            verdict.rows_recomputed += comparison.rows;
        }
    }
}

}  // namespace

void verify_fit(const RecognisedCheckpoint& pre,
                const RecognisedCheckpoint& post,
                const RecognisedCheckpoint& repaired,
                const Request& request,
                const MomentSource& moments,
                Verification& result) {
    if (request.selection.method != Method::fit || request.fit.mus.size() != 1) {
        throw Error(ErrorKind::mismatch,
                    format("moments prove a repair by --method fit with one mu, the claim is {} "
                           "with {}",
                           to_string(request.selection.method),
                           request.fit.mus.size()));
    }
    const Plan plan = make_plan(pre, post, request);
    std::map<std::string, Comparison> comparisons;
    for (const FitGroup& group : plan.fits) {
        const auto check = [&](const HeadBlock& block, const linalg::Matrix& fitted) {
            const auto compare_rows = [&](const HeadRows& part, std::size_t first_column) {
                const std::string& name = part.post->name;
                const checkpoint::TensorEntry* entry = repaired.checkpoint.find(name);
                // `verify` has told a tensor that is missing or has another shape.
                if (entry != nullptr && entry->shape == part.post->shape &&
                    entry->dtype == part.post->dtype) {
                    compare(*entry, part, fitted.view(), first_column, comparisons[name]);
                }
            };
            compare_rows(block.weight, 0);
            if (block.bias) {
                compare_rows(*block.bias, fitted.columns() - 1);
            }
        };
        compute_fit(group,
                    load_group_moments(group, moments),
                    {.mu = request.fit.mus.front(), .scales_inputs = request.fit.scales_inputs},
                    check);
    }
    for (const auto& [name, comparison] : comparisons) {
        add_comparison(name, comparison, result);
    }
    result.notes.push_back(
        format("{} rows were computed again from the moments; all other rows "
               "are proven by their bytes",
               result.rows_recomputed));
}

}  // namespace anamnesis::restore
