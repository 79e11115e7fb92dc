// SPDX-License-Identifier: Apache-2.0
#include "lost_scales.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "row_values.hpp"

namespace anamnesis::restore {
namespace {

/// A fine-tune moves the size of a weight by far less; a scale for each tensor is 1e-3 or so.
constexpr double most_ratio = 8.0;

/// Scales of inputs, outputs and caches are none of the weight's.
constexpr std::array<std::string_view, 7> of_other_values{
    "input", "act", "output", "k_scale", "v_scale", "q_scale", "prob"};

/// The name of a scale beside a weight; empty: there is none.
std::string find_neighbour(const PlacedWeight& weight) {
    const std::string& name = weight.tensor.name;
    const std::string module = name.substr(0, name.rfind('.') + 1);
    for (const checkpoint::TensorEntry& tensor : weight.checkpoint.tensors()) {
        if (tensor.name == name || !tensor.name.starts_with(module)) {
            continue;
        }
        const std::string_view own = std::string_view(tensor.name).substr(module.size());
        const bool is_other = std::ranges::any_of(
            of_other_values, [&](std::string_view word) { return own.starts_with(word); });
        if (own.find("scale") != std::string_view::npos && !is_other) {
            return tensor.name;
        }
    }
    return {};
}

}  // namespace

double measure_size(const PlacedWeight& weight) {
    RowValues values(weight.checkpoint, weight.tensor);
    const std::uint64_t columns = weight.tensor.columns();
    const std::uint64_t rows = weight.tensor.rows();
    if (!values.has_values() || columns == 0 || rows == 0) {
        return 0.0;
    }
    constexpr std::uint64_t most_columns = 8192;
    constexpr std::uint64_t most_rows = 8;
    std::vector<double> row(std::min(columns, most_columns));
    double sum = 0.0;
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < std::min(rows, most_rows); ++i) {
        values.read(i * rows / std::min(rows, most_rows) * columns, row);
        for (const double value : row) {
            sum += std::isfinite(value) ? value * value : 0.0;
        }
        count += row.size();
    }
    return std::sqrt(sum / static_cast<double>(count));
}

std::string find_lost_scale(const PlacedWeight& weight, const PlacedWeight& counterpart) {
    if (const std::string name = find_neighbour(weight); !name.empty()) {
        return format("{} beside it is no name of a scale that is known here", in_quotes(name));
    }
    const double own = measure_size(weight);
    const double other = measure_size(counterpart);
    if (own > 0.0 && other > 0.0 && std::max(own / other, other / own) >= most_ratio) {
        return format("its values are {:.3g} times as large as those of the other checkpoint",
                      own / other);
    }
    return {};
}

}  // namespace anamnesis::restore
