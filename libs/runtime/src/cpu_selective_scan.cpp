// SPDX-License-Identifier: Apache-2.0
//
// Mamba-1's recurrence: every channel and state decays by itself, so that no product of matrices
// does it. Channels go through the text together, a channel in each lane; those of one call are
// scan_lanes / width groups of lanes, one after the other.

#include "cpu_selective_scan.hpp"

#include <algorithm>
#include <cstddef>

#define ANAMNESIS_KERNELS "cpu_selective_scan.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

/// The channels of a pass, and where their values lie in a row of all.
struct Lanes {
    Lanes(const ScanText& text, std::size_t first_channel)
        : first(first_channel), count(std::min(width, text.channels - first_channel)) {}

    std::size_t first, count;
};

ANAMNESIS_INLINE Floats load_lanes(const float* row, const Lanes& lanes) {
    if (lanes.count == width) {
        return load(row + lanes.first);
    }
    Floats values{};
    for (std::size_t i = 0; i < lanes.count; ++i) {
        values[i] = row[lanes.first + i];
    }
    return values;
}

ANAMNESIS_INLINE void store_lanes(float* row, const Lanes& lanes, Floats values) {
    if (lanes.count == width) {
        store(row + lanes.first, values);
        return;
    }
    for (std::size_t i = 0; i < lanes.count; ++i) {
        row[lanes.first + i] = values[i];
    }
}

/// [channels, states] -> [states, lanes]; lanes without a channel hold 0.
ANAMNESIS_INLINE void gather(const float* rows,
                             const Lanes& lanes,
                             std::size_t states,
                             float* columns) {
    std::fill(columns, columns + states * width, 0.0F);
    for (std::size_t i = 0; i < lanes.count; ++i) {
        for (std::size_t n = 0; n < states; ++n) {
            columns[n * width + i] = rows[(lanes.first + i) * states + n];
        }
    }
}

/// The way back, added to what is there if `adds`.
ANAMNESIS_INLINE void scatter(
    const float* columns, const Lanes& lanes, std::size_t states, float* rows, bool adds) {
    for (std::size_t i = 0; i < lanes.count; ++i) {
        for (std::size_t n = 0; n < states; ++n) {
            float& value = rows[(lanes.first + i) * states + n];
            value = columns[n * width + i] + (adds ? value : 0.0F);
        }
    }
}

ANAMNESIS_INLINE void scan_lanes_forward(const ScanText& text,
                                         std::size_t first,
                                         float* state,
                                         float* y,
                                         float* checkpoints,
                                         float* scratch) {
    const Lanes lanes(text, first);
    const std::size_t states = text.states;
    float* rates = scratch;
    float* held = scratch + states * width;
    gather(text.rate, lanes, states, rates);
    gather(state, lanes, states, held);
    const Floats skip = load_lanes(text.skip, lanes);
    for (std::size_t t = 0; t < text.length; ++t) {
        if (checkpoints != nullptr && t % scan_chunk == 0) {
            std::copy(held, held + states * width, checkpoints + t / scan_chunk * states * width);
        }
        const float* b = text.b + t * states;
        const float* c = text.c + t * states;
        const Floats step = load_lanes(text.step + t * text.channels, lanes);
        const Floats x = load_lanes(text.x + t * text.channels, lanes);
        const Floats added = step * x;
        Floats sum = skip * x;
        for (std::size_t n = 0; n < states; ++n) {
            const Floats decay = exp_of_negative(step * load(rates + n * width));
            const Floats value = decay * load(held + n * width) + added * b[n];
            store(held + n * width, value);
            sum += value * c[n];
        }
        store_lanes(y + t * text.channels, lanes, sum);
    }
    scatter(held, lanes, states, state, /*adds=*/false);
}

/// What the backward pass of one block of channels works on.
struct Workspace {
    Workspace(float* scratch, std::size_t states) {
        const auto take = [&](std::size_t rows) {
            float* taken = scratch;
            scratch += rows * states * width;
            return taken;
        };
        rates = take(1);
        held = take(scan_chunk + 1);
        decays = take(scan_chunk);
        upstream = take(1);
        d_rates = take(1);
    }

    float* rates;     // [states, lanes]
    float* held;      // [tokens + 1, states, lanes]: the state before each token, then the last
    float* decays;    // [tokens, states, lanes]
    float* upstream;  // [states, lanes]: the gradient of the state that later tokens give
    float* d_rates;
};

/// The states of a chunk again, from the one that entered it.
ANAMNESIS_INLINE void repeat_chunk(const ScanText& text,
                                   const Lanes& lanes,
                                   std::size_t begin,
                                   std::size_t end,
                                   const Workspace& w) {
    const std::size_t row = text.states * width;
    for (std::size_t t = begin; t < end; ++t) {
        const Floats step = load_lanes(text.step + t * text.channels, lanes);
        const Floats added = step * load_lanes(text.x + t * text.channels, lanes);
        const float* before = w.held + (t - begin) * row;
        for (std::size_t n = 0; n < text.states; ++n) {
            const Floats decay = exp_of_negative(step * load(w.rates + n * width));
            store(w.decays + (t - begin) * row + n * width, decay);
            store(w.held + (t - begin + 1) * row + n * width,
                  decay * load(before + n * width) + added * text.b[t * text.states + n]);
        }
    }
}

/// One token backwards. Source: design of the recurrence in selective_scan.hpp, differentiated.
ANAMNESIS_INLINE void reverse_token(const ScanText& text,
                                    const Lanes& lanes,
                                    std::size_t t,
                                    std::size_t in_chunk,
                                    const ScanGradients& g,
                                    const Workspace& w,
                                    Floats& d_skip) {
    const std::size_t states = text.states;
    const std::size_t row = states * width;
    const Floats step = load_lanes(text.step + t * text.channels, lanes);
    const Floats x = load_lanes(text.x + t * text.channels, lanes);
    const Floats d_y = load_lanes(g.d_y + t * text.channels, lanes);
    const Floats skip = load_lanes(text.skip, lanes);
    const Floats added = step * x;
    Floats by_added{};
    Floats by_decay{};
    for (std::size_t n = 0; n < states; ++n) {
        const std::size_t at = in_chunk * row + n * width;
        const Floats decay = load(w.decays + at);
        const Floats kept = decay * load(w.held + at);
        const Floats d_state = load(w.upstream + n * width) + d_y * text.c[t * states + n];
        g.d_c[t * states + n] += horizontal_sum(d_y * load(w.held + at + row));
        g.d_b[t * states + n] += horizontal_sum(d_state * added);
        by_added += d_state * text.b[t * states + n];
        by_decay += d_state * kept * load(w.rates + n * width);
        store(w.d_rates + n * width, load(w.d_rates + n * width) + d_state * kept * step);
        store(w.upstream + n * width, decay * d_state);
    }
    store_lanes(g.d_x + t * text.channels, lanes, step * by_added + skip * d_y);
    store_lanes(g.d_step + t * text.channels, lanes, x * by_added + by_decay);
    d_skip += d_y * x;
}

ANAMNESIS_INLINE void scan_lanes_backward(const ScanText& text,
                                          std::size_t first,
                                          const float* checkpoints,
                                          const ScanGradients& g,
                                          float* scratch) {
    const Lanes lanes(text, first);
    const std::size_t row = text.states * width;
    const Workspace w(scratch, text.states);
    gather(text.rate, lanes, text.states, w.rates);
    gather(g.d_last, lanes, text.states, w.upstream);
    std::fill(w.d_rates, w.d_rates + row, 0.0F);
    Floats d_skip{};
    for (std::size_t chunk = (text.length + scan_chunk - 1) / scan_chunk; chunk-- > 0;) {
        const std::size_t begin = chunk * scan_chunk;
        const std::size_t end = std::min(begin + scan_chunk, text.length);
        std::copy(checkpoints + chunk * row, checkpoints + (chunk + 1) * row, w.held);
        repeat_chunk(text, lanes, begin, end, w);
        for (std::size_t t = end; t-- > begin;) {
            reverse_token(text, lanes, t, t - begin, g, w, d_skip);
        }
    }
    scatter(w.upstream, lanes, text.states, g.d_first, /*adds=*/false);
    scatter(w.d_rates, lanes, text.states, g.d_rate, /*adds=*/true);
    store_lanes(g.d_skip, lanes, load_lanes(g.d_skip, lanes) + d_skip);
}

/// Values of the checkpoints of one group of lanes.
ANAMNESIS_INLINE std::size_t group_checkpoints(const ScanText& text) {
    return (text.length + scan_chunk - 1) / scan_chunk * text.states * width;
}

ANAMNESIS_INLINE void scan_forward_body(const ScanText& text,
                                        std::size_t first,
                                        float* state,
                                        float* y,
                                        float* checkpoints,
                                        float* scratch) {
    const std::size_t end = std::min(first + scan_lanes, text.channels);
    for (std::size_t group = first; group < end; group += width) {
        scan_lanes_forward(text, group, state, y, checkpoints, scratch);
        if (checkpoints != nullptr) {
            checkpoints += group_checkpoints(text);
        }
    }
}

ANAMNESIS_INLINE void scan_backward_body(const ScanText& text,
                                         std::size_t first,
                                         const float* checkpoints,
                                         const ScanGradients& gradients,
                                         float* scratch) {
    const std::size_t end = std::min(first + scan_lanes, text.channels);
    for (std::size_t group = first; group < end; group += width) {
        scan_lanes_backward(text, group, checkpoints, gradients, scratch);
        checkpoints += group_checkpoints(text);
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

std::size_t scan_scratch(std::size_t states) {
    return (2 * scan_chunk + 4) * states * scan_lanes;
}

std::size_t scan_checkpoints(std::size_t length, std::size_t states) {
    return (length + scan_chunk - 1) / scan_chunk * states * scan_lanes;
}

ANAMNESIS_KERNEL(void,
                 scan_forward,
                 (const ScanText& text,
                  std::size_t first,
                  float* state,
                  float* y,
                  float* checkpoints,
                  float* scratch),
                 (text, first, state, y, checkpoints, scratch))

ANAMNESIS_KERNEL(void,
                 scan_backward,
                 (const ScanText& text,
                  std::size_t first,
                  const float* checkpoints,
                  const ScanGradients& gradients,
                  float* scratch),
                 (text, first, checkpoints, gradients, scratch))

}  // namespace anamnesis::runtime::cpu

#endif
