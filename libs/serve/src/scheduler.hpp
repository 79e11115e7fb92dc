// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>

#include "anamnesis/base/error.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "answering.hpp"
#include "metrics.hpp"
#include "prefix_cache.hpp"
#include "prompt_reading.hpp"

namespace anamnesis::serve {

struct SchedulerOptions {
    std::size_t sequences = 16;  ///< answers at once
    std::size_t block = 256;     ///< tokens of a prompt that are read at once
    /// Of prompts that are read between two steps of the answers, in whole blocks, at least one.
    /// A step reads all weights for a token of each answer: few steps leave more time for prompts.
    std::size_t prompt_tokens = 1024;
    std::uint64_t state_bytes = 0;  ///< of answers under way and kept prefixes together
};

/// The jobs of one model: each step reads blocks of prompts and adds a token to every answer.
///
/// Memory: a job begins when the caches and states of all its answers at their longest fit beside
/// those of the jobs under way. Kept prefixes take what is left over and make room.
///
/// Threads: one at a time, but for `shorten`, `estimate_bytes` and `check`.
class Scheduler {
public:
    /// The model and the metrics must outlive it. Runs one token to see what a state takes.
    Scheduler(const runtime::HybridModel& model,
              const SchedulerOptions& options,
              ModelMetrics& metrics);

    /// Lowers the limit of an open-ended job to what a quarter of the memory holds, so that several
    /// of them run at once, or to what is there.
    void shorten(Job& job) const;

    /// What caches and states of a job take at most, in bytes.
    std::uint64_t estimate_bytes(const Job& job) const;
    /// Errors: `usage` for a job that could never run: too many answers, or more memory than all.
    void check(const Job& job) const;

    /// A job that `check` lets pass. It was counted in `prompts_waiting`.
    void add(Job job);

    /// False once there is nothing more to do.
    bool step();

    /// Ends all jobs.
    void fail_all(const Error& error);

    const PrefixCache& prefixes() const { return prefixes_; }

private:
    void drop_cancelled();
    void admit();
    void read();
    /// Returns the tokens read.
    std::size_t read_block();
    void decode();
    void tell_metrics();
    std::size_t count_sequences() const;
    std::uint64_t bytes_for_prefixes() const;
    std::list<PromptReading>::iterator choose_reading();

    const runtime::HybridModel& model_;
    SchedulerOptions options_;
    ModelMetrics& metrics_;
    std::uint64_t fixed_bytes_ = 0;  ///< of the states of linear layers, for one sequence
    std::uint64_t page_bytes_ = 0;   ///< of one page in every softmax layer
    std::uint64_t reserved_ = 0;
    PrefixCache prefixes_;
    std::deque<Job> waiting_;
    std::list<PromptReading> readings_;  ///< in order of arrival
    std::list<Answer> answers_;
    bool is_turn_of_oldest_ = false;
};

}  // namespace anamnesis::serve
