// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "anamnesis/eval/scoreboard.hpp"

namespace anamnesis::app {

/// Scores as they come: a table that redraws in place on a terminal, a line now and then in a log,
/// with rate and time left.
class LiveTable final : public eval::Scoreboard {
public:
    explicit LiveTable(bool is_quiet);
    LiveTable(const LiveTable&) = delete;
    LiveTable& operator=(const LiveTable&) = delete;
    /// Leaves the last state on the screen.
    ~LiveTable() override;

    void begin(const std::string& model, std::size_t total) override;
    void add(const std::string& row, const std::string& column, double score, bool is_new) override;
    void finish() override;

private:
    using Clock = std::chrono::steady_clock;

    void draw();
    std::string describe_progress() const;

    bool is_quiet_;
    bool is_terminal_;
    std::string model_;
    std::size_t total_ = 0;
    std::size_t done_ = 0;
    std::size_t new_ = 0;
    std::size_t drawn_lines_ = 0;
    Clock::time_point start_;
    Clock::time_point last_;
    eval::ScoreTable table_;
};

}  // namespace anamnesis::app
