// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

/// What RULER's records count beside the prompt.
struct RulerRecord {
    std::size_t tokens_to_generate = 128;
    std::size_t wrapper_tokens = 0;  ///< with --prepare_for_ns
};

/// A line of RULER's validation.jsonl with its newline, byte for byte as Python's json.dumps writes
/// it. `index` is, as there, the code point offset of the first answer.
std::string to_ruler_line(const Sample& sample, const RulerRecord& record = {});

/// Reads prompts that RULER wrote: `input`, `outputs`, `length` (0 where there is none), and
/// `answer_prefix` where there is one. Samples are numbered by line; `task` names the samples.
/// Errors: `malformed`, naming file and line.
std::vector<Sample> read_ruler_prompts(const std::filesystem::path& path, std::string_view task);

/// Gives prompts that were read the length of their set. RULER's records say how long each prompt
/// is, not for which length it was made, and its steps leave some far below: those of one doubling
/// (512 to 1,024 and all that are shorter, 1,024 to 2,048, …) count as one set, whose length is
/// that of its longest, rounded up to a multiple of 1,024 (of 512 up to 1,024).
void round_to_sets(std::vector<Sample>& samples);

}  // namespace anamnesis::eval
