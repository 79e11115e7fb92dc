// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/run_folder.hpp"

namespace anamnesis::eval {

/// A question with what makes a line of results of its answer.
struct Item {
    Question question;
    std::function<Json(const Answer&)> judge;  ///< an object
};

/// Gives the items of a run one after the other, the same in every process.
using NextItem = std::function<std::optional<Item>()>;

struct RunProgress {
    std::size_t answered = 0;
    std::size_t found = 0;  ///< in the folder already
    std::vector<std::string> failures{};
};

/// Who follows a run.
struct RunListener {
    /// Told of every line, also of those that were there before.
    std::function<void(const Json& line, bool is_new)> on_result{};
    /// Told of every question that stays without an answer, with the reason.
    std::function<void(const std::string& failure)> on_failure{};
    /// Told when questions begin to be asked again.
    std::function<void(const std::string& reason)> on_trouble{};
};

/// Asks `back_end` what no part of the folder holds yet, and appends each answer as
/// `{"checkpoint": …, "id": …, …}`.
RunProgress run_items(BackEnd& back_end,
                      const std::string& checkpoint,
                      const NextItem& next,
                      RunFolder& folder,
                      const Shard& shard,
                      const RunListener& listener,
                      const std::stop_token& cancel);

}  // namespace anamnesis::eval
