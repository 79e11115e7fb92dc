// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/method.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/procrustes.hpp"

namespace anamnesis::restore {

std::vector<linalg::Plane> rotary_planes(const checkpoint::RotaryLayout& rotary,
                                         std::size_t head_dim) {
    using Pairs = checkpoint::RotaryLayout::Pairs;
    if (rotary.pairs == Pairs::none) {
        return {};
    }
    const std::size_t dimensions = rotary.dimensions;
    const std::size_t offset = rotary.offset;
    if (dimensions % 2 != 0 || offset + dimensions > head_dim) {
        throw Error(ErrorKind::unsupported,
                    format("rotary rows do not fit their head: {} from row {}, head of {} rows",
                           dimensions,
                           offset,
                           head_dim));
    }
    std::vector<linalg::Plane> planes;
    planes.reserve(dimensions / 2);
    for (std::size_t j = 0; j < dimensions / 2; ++j) {
        planes.push_back(rotary.pairs == Pairs::half_split
                             ? linalg::Plane{offset + j, offset + j + dimensions / 2}
                             : linalg::Plane{offset + 2 * j, offset + 2 * j + 1});
    }
    return planes;
}

void interpolate(double alpha,
                 linalg::MatrixView<const double> pre,
                 linalg::MatrixView<const double> post,
                 linalg::MatrixView<double> output) {
    ANAMNESIS_CHECK(pre.rows() == post.rows() && pre.columns() == post.columns() &&
                        pre.rows() == output.rows() && pre.columns() == output.columns(),
                    "interpolation between different shapes");
    if (!std::isfinite(alpha)) {
        throw Error(ErrorKind::usage, format("alpha is not a finite number: {}", alpha));
    }
    // Arithmetic would lose the sign of a zero, the payload of a NaN, and pre by a rounding.
    if (alpha == 0.0 || alpha == 1.0) {
        linalg::copy(alpha == 0.0 ? post : pre, output);
        return;
    }
    for (std::size_t i = 0; i < pre.rows(); ++i) {
        for (std::size_t j = 0; j < pre.columns(); ++j) {
            output(i, j) = post(i, j) + alpha * (pre(i, j) - post(i, j));
        }
    }
}

}  // namespace anamnesis::restore
