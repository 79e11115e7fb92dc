// SPDX-License-Identifier: Apache-2.0
//
// A recurrence in which every channel decays by itself: neighbouring channels lie in the lanes.

#include "cpu_linear_scan.hpp"

#include <cstddef>

#define ANAMNESIS_KERNELS "cpu_linear_scan.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

ANAMNESIS_INLINE void linear_scan_forward_body(const LinearScanText& text,
                                               const float* added,
                                               float* state,
                                               float* output) {
    float* now = state + text.first;
    for (std::size_t t = 0; t < text.length; ++t) {
        const std::size_t row = t * text.channels + text.first;
        for (std::size_t c = 0; c < text.count; ++c) {
            now[c] = text.decay[row + c] * now[c] + added[row + c];
            output[row + c] = now[c];
        }
    }
}

ANAMNESIS_INLINE void linear_scan_backward_body(const LinearScanText& text,
                                                const float* first_state,
                                                const float* output,
                                                const float* d_output,
                                                float* d_state,
                                                float* d_decay,
                                                float* d_added) {
    float* gradient = d_state + text.first;
    for (std::size_t t = text.length; t-- > 0;) {
        const std::size_t row = t * text.channels + text.first;
        const float* before = t == 0 ? first_state + text.first : output + row - text.channels;
        for (std::size_t c = 0; c < text.count; ++c) {
            const float here = gradient[c] + d_output[row + c];
            d_added[row + c] = here;
            d_decay[row + c] = here * before[c];
            gradient[c] = here * text.decay[row + c];
        }
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

ANAMNESIS_KERNEL(void,
                 linear_scan_forward,
                 (const LinearScanText& text, const float* added, float* state, float* output),
                 (text, added, state, output))

ANAMNESIS_KERNEL(void,
                 linear_scan_backward,
                 (const LinearScanText& text,
                  const float* first_state,
                  const float* output,
                  const float* d_output,
                  float* d_state,
                  float* d_decay,
                  float* d_added),
                 (text, first_state, output, d_output, d_state, d_decay, d_added))

}  // namespace anamnesis::runtime::cpu

#endif
