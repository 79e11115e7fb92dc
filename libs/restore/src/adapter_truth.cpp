// SPDX-License-Identifier: Apache-2.0
#include "adapter_truth.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

#include "pro_heads.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RowRange;
using checkpoint::TensorEntry;
using linalg::Matrix;

Matrix read_all(const TensorEntry& tensor) {
    return read_rows(tensor, {.begin = 0, .end = tensor.rows()});
}

/// Adds scale B A; of an embedding (B A)^T = A^T B^T.
void add_product(const checkpoint::MatchedModule& matched, RowRange rows, Matrix& values) {
    const checkpoint::AdapterModule& module = *matched.module;
    const Matrix a = read_all(*module.a);
    if (!module.is_embedding) {
        const Matrix b = read_rows(*module.b, rows);
        linalg::multiply(matched.scale, b, a, 1.0, values);
        return;
    }
    const Matrix b = read_all(*module.b);
    const auto tokens = a.view().column_block(rows.begin, rows.size());
    linalg::multiply(matched.scale, linalg::transposed(tokens), linalg::transposed(b), 1.0, values);
}

void replace_token_rows(const checkpoint::SavedTensor& saved, RowRange rows, Matrix& values) {
    const Matrix all = read_all(*saved.tensor);
    for (std::size_t i = 0; i < saved.rows->size(); ++i) {
        const std::uint64_t row = (*saved.rows)[i];
        if (rows.begin <= row && row < rows.end) {
            for (std::size_t j = 0; j < values.columns(); ++j) {
                values(row - rows.begin, j) = all(i, j);
            }
        }
    }
}

/// The distance of neighbouring values of a type at `value`.
double measure_unit(DType dtype, double value) {
    struct Format {
        int mantissa_bits;
        int smallest_exponent;
    };
    const Format format = dtype == DType::bf16  ? Format{7, -126}
                          : dtype == DType::f16 ? Format{10, -14}
                          : dtype == DType::f32 ? Format{23, -126}
                                                : Format{52, -1022};
    const int exponent = value == 0.0 || !std::isfinite(value)
                             ? format.smallest_exponent
                             : std::max(std::ilogb(value), format.smallest_exponent);
    return std::ldexp(1.0, exponent - format.mantissa_bits);
}

}  // namespace

Matrix read_rows(const TensorEntry& tensor, RowRange rows) {
    Matrix values(rows.size(), tensor.columns());
    std::vector<std::byte> bytes(rows.size() * tensor.row_bytes());
    tensor.read_at(rows.begin * tensor.row_bytes(), bytes);
    widen(tensor.dtype, bytes, values.values());
    return values;
}

AdapterTruth::AdapterTruth(const checkpoint::AdapterMatch& match, const Request& request)
    : match_(match), request_(request) {
    for (const checkpoint::MatchedModule& module : match.modules) {
        sources_[module.weight] = {.module = &module};
        if (module.module->bias != nullptr && module.bias != nullptr) {
            sources_[module.bias] = {.module = &module, .is_bias = true};
        }
    }
    for (const checkpoint::MatchedSaved& saved : match.saved) {
        sources_[saved.base] = {.saved = &saved};
    }
    if (request.selection.method == Method::pro) {
        groups_ = routing_groups(*match.base, *match.base, request.selection);
    }
    if (request.selection.method == Method::fit) {
        fits_ = make_adapter_fits(match, request);
    }
}

const AdapterSource* AdapterTruth::find(const TensorEntry& base) const {
    const auto found = sources_.find(&base);
    return found == sources_.end() ? nullptr : &found->second;
}

Matrix AdapterTruth::make_post_rows(const AdapterSource& source,
                                    const TensorEntry& base,
                                    RowRange rows) const {
    if (source.saved != nullptr && !source.saved->saved->rows) {
        return read_rows(*source.saved->saved->tensor, rows);
    }
    Matrix values = read_rows(base, rows);
    if (source.saved != nullptr) {
        replace_token_rows(*source.saved->saved, rows, values);
        return values;
    }
    const checkpoint::AdapterModule& module = *source.module->module;
    if (source.is_bias) {
        const Matrix bias = read_rows(*module.bias, rows);
        for (std::size_t i = 0; i < values.rows(); ++i) {
            values(i, 0) += source.module->scale * bias(i, 0);
        }
        return values;
    }
    add_product(*source.module, rows, values);
    if (module.magnitude != nullptr) {
        const Matrix magnitudes = read_all(*module.magnitude);
        for (std::size_t i = 0; i < values.rows(); ++i) {
            const double norm = linalg::frobenius_norm(values.view().row_block(i, 1));
            for (double& value : values.view().row(i)) {
                value *= magnitudes.values()[rows.begin + i] / norm;
            }
        }
    }
    return values;
}

std::optional<Matrix> AdapterTruth::fit(const TensorEntry& factor,
                                        const MomentSource& moments) const {
    const FitSettings& settings = request_.fit;
    const double mu = settings.mus.front();
    for (const FitGroup& group : fits_) {
        const bool is_here = std::ranges::any_of(
            group.rows, [&](const HeadBlock& block) { return block.weight.post == &factor; });
        if (!is_here) {
            continue;
        }
        const Matrix a = read_all(factor);
        if (std::isinf(mu)) {
            return a;
        }
        const GroupMoments sides = load_group_moments(group, moments);
        Matrix sum = sides.recall.matrices.front();
        Matrix kept = sides.chains.matrices.front();
        for (std::size_t i = 0; i < sum.values().size(); ++i) {
            kept.values()[i] *= mu;
            sum.values()[i] += kept.values()[i];
        }
        const double of_all =
            fit_ridge * linalg::trace(sum.view()) / static_cast<double>(sum.rows());
        for (std::size_t i = 0; i < sum.rows(); ++i) {
            const bool has_own = settings.scales_inputs && sum(i, i) > 0.0;
            const double eps = has_own ? fit_ridge * sum(i, i) : of_all;
            kept(i, i) += mu * eps / (1.0 + mu);
            sum(i, i) += eps;
        }
        Matrix made = linalg::product(a, kept);
        linalg::CholeskyFactor(std::move(sum)).solve_rows(made);
        return made;
    }
    return std::nullopt;
}

std::optional<Matrix> AdapterTruth::filter(const RoutingGroup& group,
                                           const Matrix& pre,
                                           const Matrix& post) const {
    const Lambda& strength = request_.lambdas.front();
    const Matrix weights = read_rows(*group.key.weight.pre,
                                     {.begin = group.key.weight.pre_row,
                                      .end = group.key.weight.pre_row + group.key.weight.rows});
    Matrix gram = linalg::gram(weights.view());
    if (has_bias_column(group) && group.key.bias) {
        const Matrix bias = read_rows(*group.key.bias->pre,
                                      {.begin = group.key.bias->pre_row,
                                       .end = group.key.bias->pre_row + group.key.bias->rows});
        linalg::multiply(1.0, bias, linalg::transposed(bias), 1.0, gram);
    }
    const double lambda = strength.is_relative ? strength.value * linalg::trace(gram) /
                                                     static_cast<double>(gram.rows())
                                               : strength.value;
    if (request_.metric != ProMetric::gram || !(lambda > 0.0) || !std::isfinite(lambda)) {
        return std::nullopt;
    }
    Matrix right(post.rows(), post.columns());
    for (std::size_t i = 0; i < right.rows(); ++i) {
        gram(i, i) += lambda;
        for (std::size_t j = 0; j < right.columns(); ++j) {
            right(i, j) = lambda * (post(i, j) - pre(i, j));
        }
    }
    try {
        Matrix rows = linalg::solve_positive_definite(gram, right);
        for (std::size_t i = 0; i < rows.values().size(); ++i) {
            rows.values()[i] += pre.values()[i];
        }
        return rows;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::unsupported) {
            throw;
        }
        return std::nullopt;
    }
}

std::vector<RowRange> list_heads(const RoutingGroup& group, const TensorEntry& tensor) {
    std::vector<RowRange> heads;
    for (const HeadBlock& query : group.queries) {
        for (const HeadRows* rows : {&query.weight, query.bias ? &*query.bias : nullptr}) {
            if (rows != nullptr && rows->post == &tensor) {
                heads.push_back({.begin = rows->post_row, .end = rows->post_row + rows->rows});
            }
        }
    }
    return heads;
}

bool is_rounding_of(DType dtype,
                    std::span<const double> found,
                    std::span<const double> wanted,
                    double units,
                    double reach) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (found[i] == wanted[i] || (std::isnan(found[i]) && std::isnan(wanted[i]))) {
            continue;
        }
        // A sum beyond the largest value becomes an infinity.
        const double limit = units * measure_unit(dtype, wanted[i]) + reach;
        std::vector<std::byte> bytes(element_bytes(dtype));
        double rounded = 0.0;
        narrow(dtype, wanted.subspan(i, 1), bytes);
        widen(dtype, bytes, std::span(&rounded, 1));
        if (found[i] != rounded && !(std::abs(found[i] - wanted[i]) <= limit)) {
            return false;
        }
    }
    return true;
}

}  // namespace anamnesis::restore
