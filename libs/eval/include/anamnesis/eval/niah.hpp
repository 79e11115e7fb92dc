// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

/// What one answer to a needle question was worth.
struct NiahVerdict {
    double score = 0.0;             ///< RULER's string_match_all: the share of values it contains
    bool is_first_exact = false;    ///< the first values it names are the ones asked for
    bool has_wrong_needle = false;  ///< it names a value that was hidden but not asked for
    bool is_empty = false;
    bool is_degenerate = false;
    bool is_truncated = false;   ///< it was still going on at the end of its budget
    bool is_unfinished = false;  ///< it never stopped thinking
};

NiahVerdict judge_niah(const Sample& sample, const Answer& answer);

struct NiahAsking {
    std::size_t max_new_tokens = 128;
    bool gives_prefix = true;  ///< the model continues RULER's answer prefix
    bool asks_logprob = true;  ///< of the true values
};

/// Sees each sample with its question before it is asked.
using OnSample = std::function<void(const Sample&, const Question&)>;

/// The samples of each generator in turn, as questions. `materials` must outlive it.
NextItem niah_items(std::vector<NiahSettings> generators,
                    std::size_t samples,
                    NiahMaterials& materials,
                    const NiahAsking& asking,
                    const OnSample& on_sample = {});

/// The same for prompts that were read from a file.
NextItem niah_items(std::vector<Sample> samples,
                    const NiahAsking& asking,
                    const OnSample& on_sample = {});

/// A line of results, read back.
struct NiahResult {
    std::string checkpoint;
    std::string id;
    std::string task;
    std::size_t length = 0;
    std::optional<std::uint32_t> depth{};
    NiahVerdict verdict{};
    std::optional<double> logprob{};
    std::size_t prompt_tokens = 0;  ///< as the engine counts them; 0: it does not tell
    std::string text{};
    std::string references{};
    std::string question{};  ///< the end of the prompt
};

/// Errors: `malformed`, naming the field.
NiahResult read_niah_result(const Json& line);

}  // namespace anamnesis::eval
