// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// Which needle-in-a-haystack prompts are made.
struct HaystackPlan {
    std::vector<std::string> tasks{};    ///< names that `niah_task` knows
    std::vector<std::size_t> lengths{};  ///< tokens of prompt and answer together
    std::uint64_t samples = 500;         ///< of each task, length and depth
    std::uint64_t seed = 42;
    std::string essays{};          ///< a file with the text of essay haystacks; empty: built in
    std::string wrapper = "base";  ///< a name that `ruler_wrapper` knows, or a text with a
                                   ///< {task_template} of its own
    SingularWording singular = SingularWording::as_ruler;
    bool removes_newlines = false;
    std::size_t tokens_to_generate = 128;  ///< of each length, kept free for the answer
    std::uint32_t depths = 0;              ///< even ones from 0 to 100 %; 0: RULER's random ones
};

/// The plan of a recall run: tasks s1, s2 and s3 where none are named.
/// Errors: `usage` without lengths, and for anything that a file of prompts brings beside one.
HaystackPlan complete_haystack_plan(HaystackPlan plan, bool has_prompts);

/// One generator for each length, task and depth, depths innermost.
/// Errors: `usage` for a task or a wrapper that does not exist.
std::vector<NiahSettings> make_generators(const HaystackPlan& plan);

/// What the generators share. The tokenizer must outlive it.
/// Errors: those of the essays' file.
NiahMaterials make_materials(const HaystackPlan& plan, const language::Tokenizer& tokenizer);

}  // namespace anamnesis::eval
