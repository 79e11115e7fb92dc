// SPDX-License-Identifier: Apache-2.0
#include "layer_call.hpp"

#include <cstdint>
#include <optional>

#include "rotary.hpp"

namespace anamnesis::runtime {

std::optional<Call> Call::narrow_to_wanted(std::int64_t length) const {
    if (!wanted || length <= *wanted) {
        return std::nullopt;
    }
    Call narrowed = *this;
    for (std::int64_t& start : narrowed.starts) {
        start += length - *wanted;
    }
    for (RotaryTables& table : narrowed.tables) {
        for (at::Tensor* const part :
             {&table.cosine, &table.sine, &table.both_cosines, &table.both_sines}) {
            if (part->defined()) {
                *part = take_wanted(*part);
            }
        }
    }
    narrowed.wanted.reset();
    return narrowed;
}

}  // namespace anamnesis::runtime
