// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <memory>
#include <span>

#include "anamnesis/base/random.hpp"
#include "anamnesis/language/text_stream.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "active_job.hpp"
#include "metrics.hpp"

namespace anamnesis::serve {

/// Answers that take a step together. Up to so many rows the kernels of bfloat16, float32 and
/// packed matrices sum each row by itself and in one order: an answer has the same bits in any
/// company.
inline constexpr std::size_t answers_per_step = 16;

/// An answer under way.
struct Answer {
    std::shared_ptr<const ActiveJob> source;
    std::size_t index = 0;  ///< among those of the request
    runtime::NetworkState state;
    at::Tensor hidden;  ///< [1, d] of the last token read
    Random random;
    language::TextStream stream;
    std::size_t made = 0;  ///< tokens
    bool has_ended = false;
};

/// Chooses a token for each answer, tells it, and lets the model read those of answers that go on.
/// At most `answers_per_step`.
/// Errors: those of the model, which concern all of them.
void decode_step(const runtime::HybridModel& model,
                 std::span<Answer* const> answers,
                 ModelMetrics& metrics);

}  // namespace anamnesis::serve
