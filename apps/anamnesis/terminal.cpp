// SPDX-License-Identifier: Apache-2.0
#include "terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::app {
namespace {

void put(std::FILE* stream, std::string_view text) {
    // A full disk leaves its mark in the stream, where `main` looks at the end.
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stream));
}

std::string_view find_unit_word(ProgressUnit unit) {
    return unit == ProgressUnit::tokens  ? "tokens"
           : unit == ProgressUnit::steps ? "steps"
                                         : "samples";
}

}  // namespace

void Terminal::result(std::string_view text) const {
    put(stdout, text);
}

void Terminal::show(bool is_json, const Json& json, std::string_view tables) const {
    if (is_json || !is_quiet_) {
        put(stdout, is_json ? json.dump(2) + "\n" : tables);
    }
}

void Terminal::say(std::string_view line) const {
    if (!is_quiet_) {
        put(stdout, line);
        put(stdout, "\n");
    }
}

void Terminal::warn(std::string_view line, std::string_view severity) const {
    if (!is_quiet_) {
        put(stderr, format("{}: {}\n", severity, line));
    }
}

ProgressBar::ProgressBar(bool is_quiet)
    : is_quiet_(is_quiet), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressBar::begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) {
    const std::lock_guard lock(mutex_);
    phase_ = phase;
    note_.clear();
    unit_ = unit;
    total_ = total;
    done_ = 0;
    start_ = Clock::now();
    last_ = start_;
}

void ProgressBar::advance(std::uint64_t count) {
    const std::lock_guard lock(mutex_);
    done_ += count;
    const auto now = Clock::now();
    const auto pause = is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
    if (!is_quiet_ && !phase_.empty() && now - last_ >= pause) {
        last_ = now;
        draw(now);
    }
}

void ProgressBar::draw(Clock::time_point now) {
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = seconds > 0.0 ? static_cast<double>(done_) / seconds : 0.0;
    const std::uint64_t left = total_ > done_ ? total_ - done_ : 0;
    const double eta = rate > 0.0 ? static_cast<double>(left) / rate : 0.0;
    const auto rounded_rate = static_cast<std::uint64_t>(rate);
    std::string figures = unit_ == ProgressUnit::bytes
                              ? format("{} of {}, {}/s, {:.0f} s left",
                                       human_bytes(done_),
                                       human_bytes(total_),
                                       human_bytes(rounded_rate),
                                       eta)
                              : format("{} of {} {}, {:.{}f}/s, {:.0f} s left",
                                       done_,
                                       total_,
                                       find_unit_word(unit_),
                                       rate,
                                       rate < 10.0 ? 2 : 0,
                                       eta);
    if (!note_.empty()) {
        figures += ", " + note_;
    }
    if (is_terminal_) {
        constexpr std::size_t width = 24;
        const std::size_t full =
            total_ == 0 ? width : std::min<std::uint64_t>(width, width * done_ / total_);
        put(stderr,
            format("\r\x1b[K{} [{}{}] {}",
                   phase_,
                   std::string(full, '#'),
                   std::string(width - full, '.'),
                   figures));
    } else {
        put(stderr, format("{}: {}\n", phase_, figures));
    }
    has_drawn_ = true;
}

void ProgressBar::note(std::string_view words) {
    const std::lock_guard lock(mutex_);
    note_ = words;
}

void ProgressBar::finish() {
    const std::lock_guard lock(mutex_);
    if (has_drawn_ && is_terminal_) {
        put(stderr, "\r\x1b[K");
    }
    has_drawn_ = false;
}

}  // namespace anamnesis::app
