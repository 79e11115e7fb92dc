// SPDX-License-Identifier: Apache-2.0
#include "row_encoder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/importance.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

RowEncoder::RowEncoder(const Plan& plan, const checkpoint::TensorEntry& post) : post_(post) {
    if (plan.importance && uses_importance(post.dtype)) {
        importance_ = plan.importance->find(post);
    }
}

void RowEncoder::encode(std::uint64_t first,
                        std::span<const double> values,
                        std::span<std::byte> bytes) const {
    if (!is_block_quantised(post_.dtype)) {
        narrow(post_.dtype, values, bytes);
        return;
    }
    // A row of a stack is a whole matrix; values are quantised along the last dimension.
    const std::size_t columns = post_.shape.back();
    const std::size_t lines_of_row = post_.columns() / columns;
    const std::size_t line_bytes = columns / block_elements(post_.dtype) * block_bytes(post_.dtype);
    const bool has_stack = importance_.size() > columns;
    std::vector<float> line(columns);
    for (std::size_t i = 0; i < values.size() / columns; ++i) {
        std::ranges::transform(values.subspan(i * columns, columns),
                               line.begin(),
                               [](double value) { return static_cast<float>(value); });
        const std::size_t matrix = has_stack ? first + i / lines_of_row : 0;
        quantise(post_.dtype,
                 line,
                 bytes.subspan(i * line_bytes, line_bytes),
                 importance_.empty() ? std::span<const float>()
                                     : std::span(importance_).subspan(matrix * columns, columns));
    }
}

}  // namespace anamnesis::restore
