// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/samples_source.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::train {
namespace {

/// The order of an epoch: Fisher and Yates.
std::vector<std::size_t> shuffle_indices(std::size_t count,
                                         std::uint64_t seed,
                                         std::uint64_t epoch) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    Random random(Random(seed).next() + epoch);
    for (std::size_t i = count; i > 1; --i) {
        std::swap(order[i - 1], order[random.below(i)]);
    }
    return order;
}

template <class Value>
void copy_row(const std::vector<Value>& from, std::vector<Value>& to, std::size_t begin) {
    std::ranges::copy(from, to.begin() + static_cast<std::ptrdiff_t>(begin));
}

bool has_weights(const std::vector<const language::SupervisedText*>& samples) {
    return std::ranges::any_of(
        samples, [](const language::SupervisedText* one) { return !one->weights.empty(); });
}

Batch empty_batch(std::size_t rows, std::size_t length, bool is_weighted) {
    return {.rows = rows,
            .length = length,
            .ids = std::vector<std::int64_t>(rows * length, 0),
            .labels = std::vector<std::int64_t>(rows * length, no_label),
            .weights = std::vector<float>(is_weighted ? rows * length : 0, 1.0F)};
}

void put(const language::SupervisedText& sample, Batch& batch, std::size_t begin) {
    copy_row(sample.ids, batch.ids, begin);
    copy_row(sample.labels, batch.labels, begin);
    if (!batch.weights.empty() && !sample.weights.empty()) {
        copy_row(sample.weights, batch.weights, begin);
    }
}

}  // namespace

Batch padded(const std::vector<const language::SupervisedText*>& samples) {
    std::size_t length = 0;
    for (const language::SupervisedText* sample : samples) {
        length = std::max(length, sample->ids.size());
    }
    Batch batch = empty_batch(samples.size(), length, has_weights(samples));
    for (std::size_t row = 0; row < samples.size(); ++row) {
        put(*samples[row], batch, row * length);
    }
    return batch;
}

Batch packed(const std::vector<const language::SupervisedText*>& samples) {
    std::vector<std::int64_t> boundaries{0};
    for (const language::SupervisedText* sample : samples) {
        boundaries.push_back(boundaries.back() + static_cast<std::int64_t>(sample->ids.size()));
    }
    Batch batch = empty_batch(1, static_cast<std::size_t>(boundaries.back()), has_weights(samples));
    for (std::size_t i = 0; i < samples.size(); ++i) {
        put(*samples[i], batch, static_cast<std::size_t>(boundaries[i]));
    }
    batch.boundaries = std::move(boundaries);
    return batch;
}

SamplesSource::SamplesSource(std::vector<language::SupervisedText> samples,
                             const BatchingRules& rules)
    : samples_(std::move(samples)), rules_(rules) {
    ANAMNESIS_CHECK(!samples_.empty() && rules_.rows > 0 && rules_.accumulated > 0,
                    "samples and a size of batches");
    std::size_t room = 0;
    // Neighbours of a row differ from run to run, by the seed.
    for (const std::size_t index :
         shuffle_indices(samples_.size(), rules_.seed, ~std::uint64_t{0})) {
        const std::size_t length = samples_[index].ids.size();
        if (rules_.packed_length > 0 && length > rules_.packed_length) {
            throw Error(ErrorKind::usage,
                        format("a sample of {} tokens does not fit a packed row of {}",
                               length,
                               rules_.packed_length));
        }
        if (units_.empty() || length > room) {
            units_.emplace_back();
            room = rules_.packed_length;
        }
        units_.back().push_back(index);
        room -= std::min(room, length);
    }
}

std::vector<Batch> SamplesSource::batches(std::uint64_t step) const {
    std::vector<Batch> all;
    std::uint64_t place = step * rules_.accumulated * rules_.rows;
    std::uint64_t epoch = place / units_.size();
    std::vector<std::size_t> order = shuffle_indices(units_.size(), rules_.seed, epoch);
    for (std::size_t i = 0; i < rules_.accumulated; ++i) {
        std::vector<const language::SupervisedText*> rows;
        for (std::size_t row = 0; row < rules_.rows; ++row, ++place) {
            if (place / units_.size() != epoch) {
                epoch = place / units_.size();
                order = shuffle_indices(units_.size(), rules_.seed, epoch);
            }
            std::vector<const language::SupervisedText*> together;
            for (const std::size_t index : units_[order[place % units_.size()]]) {
                together.push_back(&samples_[index]);
            }
            if (is_packed()) {
                all.push_back(packed(together));
            } else {
                rows.push_back(together.front());
            }
        }
        if (!is_packed()) {
            all.push_back(padded(rows));
        }
    }
    return all;
}

BatchSource::Size SamplesSource::largest() const {
    if (is_packed()) {
        return {.rows = 1, .length = rules_.packed_length};
    }
    std::size_t longest = 0;
    for (const language::SupervisedText& sample : samples_) {
        longest = std::max(longest, sample.ids.size());
    }
    return {.rows = rules_.rows, .length = longest};
}

}  // namespace anamnesis::train
