// SPDX-License-Identifier: Apache-2.0
#include "live_table.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/scoreboard.hpp"

namespace anamnesis::app {
namespace {

void put(const std::string& text) {
    // Progress that cannot be shown is not worth an error.
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

}  // namespace

LiveTable::LiveTable(bool is_quiet)
    : is_quiet_(is_quiet), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

LiveTable::~LiveTable() {
    finish();
}

void LiveTable::begin(const std::string& model, std::size_t total) {
    model_ = model;
    total_ = total;
    done_ = 0;
    new_ = 0;
    drawn_lines_ = 0;
    start_ = Clock::now();
    last_ = start_;
    table_ = {};
}

void LiveTable::add(const std::string& row, const std::string& column, double score, bool is_new) {
    table_.add(row, column, score);
    ++done_;
    new_ += is_new ? 1U : 0U;
    const auto pause = is_terminal_ ? std::chrono::milliseconds(250) : std::chrono::seconds(15);
    const auto now = Clock::now();
    if (!is_quiet_ && now - last_ >= pause) {
        last_ = now;
        draw();
    }
}

void LiveTable::finish() {
    if (!is_quiet_ && done_ > 0) {
        draw();
    }
    done_ = 0;
}

std::string LiveTable::describe_progress() const {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const double rate = seconds > 0.0 ? static_cast<double>(new_) / seconds : 0.0;
    std::string text = format("{}: {} of {} samples", model_, done_, total_);
    if (rate > 0.0 && done_ < total_) {
        text +=
            format(", {:.3g}/s, {:.0f} s left", rate, static_cast<double>(total_ - done_) / rate);
    }
    return text;
}

void LiveTable::draw() {
    if (!is_terminal_) {
        put(describe_progress() + "\n");
        return;
    }
    const std::string text = describe_progress() + "\n" + eval::to_text(table_);
    std::string picture;
    for (std::size_t i = 0; i < drawn_lines_; ++i) {
        picture += "\x1b[A\x1b[2K";
    }
    put(picture + "\r" + text);
    drawn_lines_ = static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace anamnesis::app
