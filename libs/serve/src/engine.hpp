// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "anamnesis/serve/server.hpp"

#include "metrics.hpp"
#include "scheduler.hpp"

namespace anamnesis::serve {

/// The one thread that runs models: all of them take a step in turn, so that they share the cores
/// without contending for them.
///
/// Threads: all functions may be called at once.
class Engine {
public:
    /// The models must outlive it.
    Engine(std::span<const ServedModel> models, const ServeOptions& options);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    enum class Admission : std::uint8_t { taken, busy, stopping };

    /// Takes all jobs of a request or none. Each must have passed `check`.
    Admission submit(std::size_t model, std::vector<Job> jobs);

    /// As `Scheduler::shorten`.
    void shorten(std::size_t model, Job& job) const;

    /// Errors: those of `Scheduler::check`.
    void check(std::size_t model, const Job& job) const;

    /// Takes no more jobs, and waits until those taken have ended, `patience` at most.
    void drain(std::chrono::milliseconds patience);

    /// Ends all jobs and the thread.
    void stop();

    const ModelMetrics& metrics(std::size_t model) const { return *metrics_[model]; }

private:
    struct Arrival {
        std::size_t model = 0;
        Job job{};
    };

    void run(const std::stop_token& stop);

    std::size_t most_waiting_;
    std::vector<std::unique_ptr<ModelMetrics>> metrics_;
    std::vector<std::unique_ptr<Scheduler>> schedulers_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<Arrival> arrivals_;
    bool is_draining_ = false;
    bool is_busy_ = false;
    std::jthread thread_;  ///< last: it uses all others
};

}  // namespace anamnesis::serve
