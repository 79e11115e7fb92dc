// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ops/cat.h>

namespace anamnesis::testing {

/// A recurrence over all tokens of `whole`, `piece` at a time, each from the state that the last
/// left. `run` takes such an input and gives `output` [B, T, ...] and `state`.
template <class Input, class Run>
auto run_in_pieces(const Input& whole, std::int64_t piece, const Run& run) {
    Input input = whole;
    std::vector<at::Tensor> outputs;
    for (std::int64_t first = 0; first < whole.x.size(1); first += piece) {
        const std::int64_t length = std::min(piece, whole.x.size(1) - first);
        input.x = whole.x.narrow(1, first, length);
        input.step = whole.step.narrow(1, first, length);
        input.b = whole.b.narrow(1, first, length);
        input.c = whole.c.narrow(1, first, length);
        auto result = run(input);
        input.state = result.state;
        outputs.push_back(result.output);
    }
    decltype(run(input)) joined;
    joined.output = at::cat(outputs, 1);
    joined.state = input.state;
    return joined;
}

}  // namespace anamnesis::testing
