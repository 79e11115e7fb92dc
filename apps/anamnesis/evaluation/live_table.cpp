// SPDX-License-Identifier: Apache-2.0
#include "evaluation/live_table.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"

#include "render/tables.hpp"

namespace anamnesis::app {
namespace {

void add_once(std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) {
        names.push_back(name);
    }
}

void put(const std::string& text) {
    // Progress that cannot be shown is not worth an error.
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

}  // namespace

LiveTable::LiveTable(bool is_quiet, std::string title, std::size_t total)
    : is_quiet_(is_quiet),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      title_(std::move(title)),
      total_(total),
      start_(Clock::now()),
      last_(start_) {}

LiveTable::~LiveTable() {
    if (!is_quiet_ && done_ > 0) {
        draw();
    }
}

void LiveTable::add(const std::string& row, const std::string& column, double score, bool is_new) {
    add_once(rows_, row);
    add_once(columns_, column);
    Cell& cell = cells_[{row, column}];
    cell.sum += score;
    ++cell.count;
    ++done_;
    new_ += is_new ? 1U : 0U;
    const auto pause = is_terminal_ ? std::chrono::milliseconds(250) : std::chrono::seconds(15);
    const auto now = Clock::now();
    if (!is_quiet_ && now - last_ >= pause) {
        last_ = now;
        draw();
    }
}

std::string LiveTable::progress() const {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const double rate = seconds > 0.0 ? static_cast<double>(new_) / seconds : 0.0;
    std::string text = format("{}: {} of {} samples", title_, done_, total_);
    if (rate > 0.0 && done_ < total_) {
        text +=
            format(", {:.3g}/s, {:.0f} s left", rate, static_cast<double>(total_ - done_) / rate);
    }
    return text;
}

void LiveTable::draw() {
    if (!is_terminal_) {
        put(progress() + "\n");
        return;
    }
    std::vector<std::string> names{""};
    for (const std::string& column : columns_) {
        names.push_back(">" + column);
    }
    std::vector<std::vector<std::string>> rows;
    for (const std::string& row : rows_) {
        rows.push_back({row});
        for (const std::string& column : columns_) {
            const auto cell = cells_.find({row, column});
            rows.back().push_back(
                cell == cells_.end()
                    ? ""
                    : format("{:.1f} ({})",
                             100.0 * cell->second.sum / static_cast<double>(cell->second.count),
                             cell->second.count));
        }
    }
    const std::string text = progress() + "\n" + text_table(names, rows);
    std::string picture;
    for (std::size_t i = 0; i < drawn_lines_; ++i) {
        picture += "\x1b[A\x1b[2K";
    }
    put(picture + "\r" + text);
    drawn_lines_ = static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace anamnesis::app
