// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace anamnesis::app {

/// Scores as they come: rows and columns that redraw in place on a terminal, a line now and then in
/// a log, with rate and time left.
class LiveTable {
public:
    LiveTable(bool is_quiet, std::string title, std::size_t total);
    LiveTable(const LiveTable&) = delete;
    LiveTable& operator=(const LiveTable&) = delete;
    /// Leaves the last state standing.
    ~LiveTable();

    /// A score in [0, 1]; `is_new` for those measured now, which the rate is made of.
    void add(const std::string& row, const std::string& column, double score, bool is_new);

private:
    using Clock = std::chrono::steady_clock;
    struct Cell {
        double sum = 0.0;
        std::size_t count = 0;
    };

    void draw();
    std::string progress() const;

    bool is_quiet_;
    bool is_terminal_;
    std::string title_;
    std::size_t total_;
    std::size_t done_ = 0;
    std::size_t new_ = 0;
    std::size_t drawn_lines_ = 0;
    Clock::time_point start_;
    Clock::time_point last_;
    std::vector<std::string> rows_;
    std::vector<std::string> columns_;
    std::map<std::pair<std::string, std::string>, Cell> cells_;
};

}  // namespace anamnesis::app
