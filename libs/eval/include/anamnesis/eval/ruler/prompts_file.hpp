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

/// Reads prompts that RULER wrote: `input`, `outputs`, `length`, and `answer_prefix` where there is
/// one. Samples are numbered by line; `task` names the samples.
/// Errors: `malformed`, naming file and line.
std::vector<Sample> read_ruler_prompts(const std::filesystem::path& path, std::string_view task);

}  // namespace anamnesis::eval
