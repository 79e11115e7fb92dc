// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::serve {

/// Seconds in buckets, as Prometheus counts them.
class Durations {
public:
    static constexpr std::array<double, 12> bounds{
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0};

    void add(std::chrono::duration<double> time);
    /// The samples of a histogram.
    void write(std::string& text, const std::string& name, const std::string& labels) const;

private:
    std::array<std::atomic<std::uint64_t>, bounds.size() + 1> counts_{};
    std::atomic<std::uint64_t> microseconds_ = 0;
};

/// What is counted of one model. The engine and the threads of requests write, /metrics reads.
struct ModelMetrics {
    std::atomic<std::size_t> prompts_waiting = 0;
    std::atomic<std::size_t> prompts_reading = 0;
    std::atomic<std::size_t> answers_running = 0;
    std::atomic<std::uint64_t> prompt_tokens = 0;  ///< of prompts that were read, reused ones too
    std::atomic<std::uint64_t> reused_tokens = 0;
    std::atomic<std::uint64_t> new_tokens = 0;
    std::array<std::atomic<std::uint64_t>, 4> answers{};  ///< by language::FinishReason
    std::atomic<std::uint64_t> prompts_refused = 0;
    std::atomic<std::uint64_t> reserved_bytes = 0;
    std::atomic<std::uint64_t> kept_bytes = 0;
    std::atomic<std::size_t> kept_states = 0;
    std::atomic<std::uint64_t> evictions = 0;
    Durations first_token{};

    void count_answer(language::FinishReason reason) {
        ++answers[static_cast<std::size_t>(reason)];
    }
};

struct NamedMetrics {
    std::string model{};
    const ModelMetrics* metrics = nullptr;
};

/// Prometheus' text format: of each figure what it is, and then its samples, one a model, which
/// have the label `model`.
std::string write_metrics(std::span<const NamedMetrics> models);

}  // namespace anamnesis::serve
