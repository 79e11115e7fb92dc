// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/random.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::train::synthetic {

/// What the prediction of a token is worth.
enum class Worth : std::uint8_t {
    answer,
    text,
    nothing,  ///< chance, or only read
};

/// Builds a sample token by token.
class Writer {
public:
    void put(std::int64_t id, Worth worth) {
        sample_.ids.push_back(id);
        sample_.labels.push_back(worth == Worth::nothing ? no_label : id);
        sample_.weights.push_back(worth == Worth::answer ? 1.0F : text_weight);
    }
    void put(std::string_view word, Worth worth) { put(find_word_id(word), worth); }
    void put(std::span<const std::int64_t> ids, Worth worth) {
        for (const std::int64_t id : ids) {
            put(id, worth);
        }
    }
    /// A number below 100 as two digits.
    void put_number(std::uint64_t number, Worth worth) {
        put(digits().first + static_cast<std::int64_t>(number / 10), worth);
        put(digits().first + static_cast<std::int64_t>(number % 10), worth);
    }

    std::size_t size() const { return sample_.ids.size(); }

    /// Cut to at most `length` tokens.
    language::SupervisedText finish(std::size_t length) && {
        if (sample_.ids.size() > length) {
            sample_.ids.resize(length);
            sample_.labels.resize(length);
            sample_.weights.resize(length);
        }
        return std::move(sample_);
    }
    language::SupervisedText finish() && { return std::move(sample_); }

private:
    language::SupervisedText sample_;
};

/// Some of a range, without repeats, in random order.
inline std::vector<std::int64_t> draw(Random& random, const WordRange& range, std::size_t count) {
    std::vector<std::int64_t> ids(range.count);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = range.first + static_cast<std::int64_t>(i);
    }
    for (std::size_t i = 0; i < count; ++i) {
        std::swap(ids[i], ids[i + random.below(ids.size() - i)]);
    }
    ids.resize(count);
    return ids;
}

}  // namespace anamnesis::train::synthetic
