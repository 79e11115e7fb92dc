// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::train {

std::string_view to_string(Decay decay) noexcept {
    switch (decay) {
        case Decay::constant:
            return "constant";
        case Decay::linear:
            return "linear";
        case Decay::cosine:
            break;
    }
    return "cosine";
}

Decay parse_decay(std::string_view word) {
    for (const Decay decay : {Decay::constant, Decay::linear, Decay::cosine}) {
        if (word == to_string(decay)) {
            return decay;
        }
    }
    throw Error(
        ErrorKind::usage,
        format("schedule {} is not known, expected constant, linear or cosine", in_quotes(word)));
}

double Schedule::at(std::uint64_t step) const {
    if (step < warmup) {
        return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
    }
    const std::uint64_t last = steps - 1;
    const double progress =
        last > warmup
            ? std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(last - warmup))
            : 0.0;
    double fall = 1.0;  // from 1 to 0
    switch (decay) {
        case Decay::constant:
            return peak;
        case Decay::linear:
            fall = 1.0 - progress;
            break;
        case Decay::cosine:
            fall = (1.0 + std::cos(std::numbers::pi * progress)) / 2.0;
            break;
    }
    return peak * (min_ratio + (1.0 - min_ratio) * fall);
}

}  // namespace anamnesis::train
