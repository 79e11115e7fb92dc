// SPDX-License-Identifier: Apache-2.0
#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/runtime/device.hpp"

namespace anamnesis::serve {

Engine::Engine(std::span<const ServedModel> models, const ServeOptions& options)
    : most_waiting_(options.waiting) {
    const SchedulerOptions each{.sequences = options.sequences,
                                .block = options.block,
                                .prompt_tokens = options.prompt_tokens,
                                .state_bytes = options.state_bytes / models.size()};
    for (const ServedModel& served : models) {
        metrics_.push_back(std::make_unique<ModelMetrics>());
        schedulers_.push_back(std::make_unique<Scheduler>(*served.model, each, *metrics_.back()));
    }
    runtime::release_threads();
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Engine::~Engine() = default;

Engine::Admission Engine::submit(std::size_t model, std::vector<Job> jobs) {
    const std::lock_guard lock(mutex_);
    if (is_draining_) {
        return Admission::stopping;
    }
    ModelMetrics& metrics = *metrics_[model];
    if (metrics.prompts_waiting >= most_waiting_) {
        metrics.prompts_refused += jobs.size();
        return Admission::busy;
    }
    metrics.prompts_waiting += jobs.size();
    for (Job& job : jobs) {
        arrivals_.push_back({.model = model, .job = std::move(job)});
    }
    is_busy_ = true;
    changed_.notify_all();
    return Admission::taken;
}

void Engine::shorten(std::size_t model, Job& job) const {
    schedulers_[model]->shorten(job);
}

void Engine::check(std::size_t model, const Job& job) const {
    schedulers_[model]->check(job);
}

void Engine::drain(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    is_draining_ = true;
    changed_.wait_for(lock, patience, [&] { return !is_busy_; });
}

void Engine::stop() {
    thread_.request_stop();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Engine::run(const std::stop_token& stop) {
    while (true) {
        std::vector<Arrival> arrived;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, stop, [&] { return is_busy_; });
            if (stop.stop_requested()) {
                break;
            }
            arrived = std::exchange(arrivals_, {});
        }
        for (Arrival& arrival : arrived) {
            schedulers_[arrival.model]->add(std::move(arrival.job));
        }
        bool is_any_left = false;
        for (const auto& scheduler : schedulers_) {
            is_any_left = scheduler->step() || is_any_left;
        }
        const std::lock_guard lock(mutex_);
        is_busy_ = is_any_left || !arrivals_.empty();
        if (!is_busy_) {
            changed_.notify_all();
        }
    }
    const Error stopping(ErrorKind::cancelled, "the server is stopping");
    for (const auto& scheduler : schedulers_) {
        scheduler->fail_all(stopping);
    }
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
    for (const Arrival& arrival : arrivals_) {
        arrival.job.channel->fail(stopping);
    }
    arrivals_.clear();
}

}  // namespace anamnesis::serve
