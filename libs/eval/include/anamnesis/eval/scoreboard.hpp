// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace anamnesis::eval {

/// Sees the scores of one model after the other as they come. This one looks away.
/// Threads: called by the thread that runs the evaluation.
class Scoreboard {
public:
    Scoreboard() = default;
    Scoreboard(const Scoreboard&) = delete;
    Scoreboard& operator=(const Scoreboard&) = delete;
    virtual ~Scoreboard() = default;

    /// A model whose questions number `total`.
    virtual void begin(const std::string& /*model*/, std::size_t /*total*/) {}
    /// A score in [0, 1]; `is_new` for those measured now, not found in the folder.
    virtual void add(const std::string& /*row*/,
                     const std::string& /*column*/,
                     double /*score*/,
                     bool /*is_new*/) {}
    /// The model has no further scores.
    virtual void finish() {}
};

/// Mean scores by row and column, both in the order in which they first came.
class ScoreTable {
public:
    void add(const std::string& row, const std::string& column, double score);

    struct Mean {
        double value = 0.0;
        std::size_t count = 0;
    };
    /// Nothing where no score came.
    std::optional<Mean> mean(const std::string& row, const std::string& column) const;

    const std::vector<std::string>& rows() const& { return rows_; }
    const std::vector<std::string>& rows() const&& = delete;
    const std::vector<std::string>& columns() const& { return columns_; }
    const std::vector<std::string>& columns() const&& = delete;

private:
    struct Cell {
        double sum = 0.0;
        std::size_t count = 0;
    };

    std::vector<std::string> rows_;
    std::vector<std::string> columns_;
    std::map<std::pair<std::string, std::string>, Cell> cells_;
};

/// A line a row: "97.5 (40)" is the mean in percent and the count.
std::string to_text(const ScoreTable& table);

}  // namespace anamnesis::eval
