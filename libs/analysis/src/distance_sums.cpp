// SPDX-License-Identifier: Apache-2.0
#include "distance_sums.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/base/check.hpp"

namespace anamnesis::analysis {
namespace {

/// `last` points at the pair of distance `nearest`; the farther ones lie before it.
template <class Value>
void add_row(const Value* last, std::int64_t count, Term term, double* sums) {
    if (term == Term::magnitude) {
        for (std::int64_t i = 0; i < count; ++i) {
            sums[i] += static_cast<double>(std::fabs(last[-i]));
        }
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        sums[i] += static_cast<double>(last[-i]);
    }
}

template <class Value>
void add_rows(const PairBlock& block,
              Term term,
              const std::vector<bool>* chosen,
              std::vector<double>& sums) {
    const auto* values = block.values.const_data_ptr<Value>();
    const std::int64_t columns = block.values.size(1);
    for (std::int64_t r = 0; r < block.values.size(0); ++r) {
        const std::int64_t query = block.first_query + r;
        if (chosen != nullptr && !(*chosen)[static_cast<std::size_t>(query)]) {
            continue;
        }
        const std::int64_t first = std::max(block.first_key, query - block.window + 1);
        const std::int64_t last = std::min(block.first_key + columns - 1, query);
        if (last < first) {
            continue;
        }
        ANAMNESIS_CHECK(query - first < static_cast<std::int64_t>(sums.size()),
                        "a sum for every distance");
        add_row(values + r * columns + (last - block.first_key),
                last - first + 1,
                term,
                sums.data() + (query - last));
    }
}

void add(const PairBlock& block,
         Term term,
         const std::vector<bool>* chosen,
         std::vector<double>& sums) {
    ANAMNESIS_CHECK(block.values.is_contiguous(), "rows of pairs lie one after the other");
    if (block.values.scalar_type() == at::kDouble) {
        add_rows<double>(block, term, chosen, sums);
    } else {
        add_rows<float>(block, term, chosen, sums);
    }
}

}  // namespace

void add_by_distance(const PairBlock& block, Term term, std::vector<double>& sums) {
    add(block, term, nullptr, sums);
}

void add_by_distance(const PairBlock& block,
                     Term term,
                     const std::vector<bool>& chosen,
                     std::vector<double>& sums) {
    add(block, term, &chosen, sums);
}

}  // namespace anamnesis::analysis
