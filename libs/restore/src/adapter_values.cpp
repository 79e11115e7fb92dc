// SPDX-License-Identifier: Apache-2.0
#include "adapter_values.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/method.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

#include "pro_heads.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RowRange;
using checkpoint::TensorEntry;
using linalg::Matrix;

std::vector<std::byte> narrow_all(DType dtype, std::span<const double> values) {
    std::vector<std::byte> bytes(values.size() * element_bytes(dtype));
    narrow(dtype, values, bytes);
    return bytes;
}

/// The row of the base whose place row `row` of a saved tensor takes.
std::uint64_t find_base_row(const checkpoint::SavedTensor& saved, std::uint64_t row) {
    return saved.rows ? (*saved.rows)[row] : row;
}

Matrix load_base_rows(const AdapterTensor& tensor, RowRange rows) {
    const TensorEntry& base = *tensor.saved->base;
    Matrix values(rows.size(), base.columns());
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
        const std::uint64_t row = find_base_row(*tensor.saved->saved, rows.begin + i);
        const Matrix one = load_rows(base, {.begin = row, .end = row + 1});
        std::ranges::copy(one.values(), values.view().row(i).begin());
    }
    return values;
}

/// Bytes of the base where the dtypes agree, so that a NaN keeps its payload.
std::vector<std::byte> copy_base_rows(const AdapterTensor& tensor, RowRange rows) {
    const TensorEntry& base = *tensor.saved->base;
    const std::uint64_t row_bytes = tensor.tensor->row_bytes();
    std::vector<std::byte> bytes(rows.size() * row_bytes);
    std::vector<std::byte> row(base.row_bytes());
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
        base.read_at(find_base_row(*tensor.saved->saved, rows.begin + i) * row.size(), row);
        convert(base.dtype,
                row,
                tensor.tensor->dtype,
                std::span(bytes).subspan(i * row_bytes, row_bytes));
    }
    return bytes;
}

std::vector<std::byte> restore_rows(const AdapterTensor& tensor, RowRange rows) {
    if (tensor.saved != nullptr) {
        return copy_base_rows(tensor, rows);
    }
    if (tensor.tensor == tensor.module->module->magnitude) {
        return narrow_all(tensor.tensor->dtype, measure_row_norms(*tensor.module->weight, rows));
    }
    return std::vector<std::byte>(rows.size() * tensor.tensor->row_bytes());
}

std::vector<std::byte> weaken_rows(const AdapterTensor& tensor, RowRange rows, double alpha) {
    Matrix values = load_rows(*tensor.tensor, rows);
    if (tensor.saved != nullptr) {
        const Matrix base = load_base_rows(tensor, rows);
        interpolate(alpha, base.view(), values.view(), values.view());
    } else {
        for (double& value : values.values()) {
            value *= 1.0 - alpha;
        }
    }
    return narrow_all(tensor.tensor->dtype, values.values());
}

std::vector<std::byte> filter_rows(const AdapterPlan& plan,
                                   const Request& request,
                                   const AdapterTensor& tensor,
                                   RowRange rows) {
    const TensorEntry& place =
        tensor.saved != nullptr ? *tensor.saved->base : *tensor.module->weight;
    const std::uint64_t row_bytes = tensor.tensor->row_bytes();
    std::vector<std::byte> bytes(rows.size() * row_bytes);
    tensor.tensor->read_at(rows.begin * row_bytes, bytes);
    const auto take = [&](const ProFilter& filter, double lambda, RowRange head) {
        if (head.end <= rows.begin || rows.end <= head.begin) {
            return;
        }
        const Matrix after = load_rows(*tensor.tensor, head);
        // B of the base is zero: F B_pre + (I - F) B_post is the filtered B.
        const Matrix before = tensor.saved != nullptr ? load_base_rows(tensor, head)
                                                      : Matrix(after.rows(), after.columns());
        Matrix filtered(after.rows(), after.columns());
        const std::array<double, 1> lambdas{lambda};
        const std::array<linalg::MatrixView<double>, 1> outputs{filtered.view()};
        filter.apply(lambdas, before.view(), after.view(), outputs);
        narrow(tensor.tensor->dtype,
               filtered.values(),
               std::span(bytes).subspan((head.begin - rows.begin) * row_bytes,
                                        head.size() * row_bytes));
    };
    visit_heads(*plan.match->base, plan.groups, request, place, take);
    return bytes;
}

/// All rows of a factor A.
std::vector<std::byte> fit_factor(const AdapterPlan& plan,
                                  const Request& request,
                                  const TensorEntry& factor) {
    const auto& mus = plan.fit.request.fit.mus;
    const double mu = request.fit.mus.front();
    const auto output = static_cast<std::size_t>(std::ranges::find(mus, mu) - mus.begin());
    std::vector<std::byte> bytes;
    for (FitGroup group : plan.fit.fits) {
        std::erase_if(group.rows,
                      [&](const HeadBlock& block) { return block.weight.post != &factor; });
        if (!group.rows.empty()) {
            compute_fit(group,
                        load_group_moments(group, *plan.fit.moments.at(output)),
                        {.mu = mu, .scales_inputs = request.fit.scales_inputs},
                        [&](const HeadBlock&, const Matrix& rows) {
                            bytes = narrow_all(factor.dtype, rows.values());
                        });
        }
    }
    return bytes;
}

std::string_view explain_no_values(DType dtype) {
    if (dtype == DType::nvfp4) {
        return "whose values mean nothing without the scale of the whole tensor";
    }
    return is_block_quantised(dtype) ? "whose codebook is not part of this program"
                                     : "which holds no values to compute with";
}

}  // namespace

bool holds_values(DType dtype) noexcept {
    return is_arithmetic(dtype) || (can_dequantise(dtype) && dtype != DType::nvfp4);
}

linalg::Matrix load_rows(const TensorEntry& tensor, RowRange rows) {
    if (!holds_values(tensor.dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} is {}, {}",
                           in_quotes(tensor.name),
                           anamnesis::to_string(tensor.dtype),
                           explain_no_values(tensor.dtype)));
    }
    Matrix values(rows.size(), tensor.columns());
    std::vector<std::byte> bytes(rows.size() * tensor.row_bytes());
    tensor.read_at(rows.begin * tensor.row_bytes(), bytes);
    widen(tensor.dtype, bytes, values.values());
    return values;
}

std::vector<double> measure_row_norms(const TensorEntry& tensor, RowRange rows) {
    std::vector<double> norms;
    for (std::uint64_t row = rows.begin; row < rows.end; ++row) {
        const Matrix values = load_rows(tensor, {.begin = row, .end = row + 1});
        norms.push_back(linalg::frobenius_norm(values.view()));
    }
    return norms;
}

std::vector<std::byte> make_edited_rows(const AdapterPlan& plan,
                                        const Request& request,
                                        const AdapterTensor& tensor,
                                        const EditedRows& edited) {
    switch (edited.edit) {
        case RowEdit::weaken:
            return weaken_rows(tensor, edited.rows, request.alpha);
        case RowEdit::filter:
            return filter_rows(plan, request, tensor, edited.rows);
        case RowEdit::fit:
            return fit_factor(plan, request, *tensor.tensor);
        case RowEdit::restore:
            break;
    }
    return restore_rows(tensor, edited.rows);
}

}  // namespace anamnesis::restore
