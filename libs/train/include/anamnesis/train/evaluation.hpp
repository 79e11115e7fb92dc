// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::train {

/// What a network is asked while it learns.
struct EvaluationPlan {
    std::uint64_t every = 0;             ///< steps from one evaluation to the next; 0: never
    std::vector<std::size_t> lengths{};  ///< of haystacks, in tokens
    std::size_t samples = 50;            ///< of each task and length
    bool uses_chat_template = false;
    struct Reasoning {
        eval::ReasoningTask task = eval::ReasoningTask::gsm8k;
        std::filesystem::path data{};  ///< its problems; the first `samples` are asked
    };
    std::optional<Reasoning> reasoning{};
};

/// What it answered, in percent.
struct EvaluationFigures {
    struct Recall {
        std::string task{};
        std::size_t length = 0;
        double percent = 0.0;
    };
    std::vector<Recall> recall{};
    /// The reasoning task and its share of right answers; of models of the synthetic language
    /// whole chains of thought, "cot".
    std::optional<std::pair<std::string, double>> reasoning{};
};

/// {"niah_single_1": {"4096": 62.5}, …, "gsm8k": 50}: as a line of metrics.jsonl has it.
Json to_json(const EvaluationFigures& figures);

/// Asks the network as it is then. Errors: `cancelled` after a stop, seen between questions and
/// inside them.
using Evaluate = std::function<EvaluationFigures(const Watch& watch)>;

/// Makes the questions and checks that every one of them fits the network. Models of the synthetic
/// language answer their own tasks (S1, S2, S3 and chains of thought); others RULER's niah_single_1
/// to 3 and the reasoning problems, in the words of the checkpoint's tokenizer. The network is
/// asked in memory: nothing is copied or written. It must outlive the function; the checkpoint is
/// the one that it started from.
/// Errors: `usage` for a length or a problem that does not fit the network's context, or a length
/// too short for its task; `unsupported` for a model of another language without a tokenizer; those
/// of the file of problems; `cancelled` after a stop.
Evaluate make_evaluation(const EvaluationPlan& plan,
                         const checkpoint::Checkpoint& checkpoint,
                         const runtime::Network& network,
                         const Watch& watch = {});

}  // namespace anamnesis::train
