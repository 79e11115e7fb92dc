// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"

namespace anamnesis::app {

/// Where a verb prints: results to standard output, all else to standard error.
class Terminal {
public:
    explicit Terminal(bool is_quiet) : is_quiet_(is_quiet) {}

    /// A result; printed also when quiet.
    void result(std::string_view text) const;
    /// As JSON where that is asked for, else as tables, which are told unless quiet.
    void show(bool is_json, const Json& json, std::string_view tables) const;
    /// Told unless quiet.
    void say(std::string_view line) const;
    void warn(std::string_view line, std::string_view severity = "warning") const;

    bool is_quiet() const noexcept { return is_quiet_; }

private:
    bool is_quiet_;
};

/// A bar with rate and time left on a terminal; a line every few seconds in a log.
class ProgressBar final : public Progress {
public:
    explicit ProgressBar(bool is_quiet);

    void begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) override;
    void advance(std::uint64_t count) override;
    void finish() override;
    void note(std::string_view words) override;

private:
    using Clock = std::chrono::steady_clock;

    void draw(Clock::time_point now);

    bool is_quiet_;
    bool is_terminal_;
    bool has_drawn_ = false;
    std::mutex mutex_;
    std::string phase_;
    std::string note_;
    ProgressUnit unit_ = ProgressUnit::bytes;
    std::uint64_t total_ = 0;
    std::uint64_t done_ = 0;
    Clock::time_point start_;
    Clock::time_point last_;
};

}  // namespace anamnesis::app
