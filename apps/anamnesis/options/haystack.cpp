// SPDX-License-Identifier: Apache-2.0
#include "options/haystack.hpp"

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"

#include "option_group.hpp"

namespace anamnesis::app {

void declare_haystack(CLI::App& app, eval::HaystackPlan& plan) {
    OptionGroup group(app, "Needles in haystacks");
    group
        .option("--tasks,--task",
                plan.tasks,
                "Tasks by name, with commas: s1, s2, s3 (niah_single_1 to 3), multikey_1 to 3, "
                "multivalue, multiquery.")
        ->delimiter(',');
    group
        .text<std::vector<std::string>>(
            "--lengths,--length",
            [&plan](const std::vector<std::string>& words) {
                plan.lengths = eval::parse_lengths(words);
            },
            "Contexts in tokens, answer included: 4096, 4k,8k or 4k..256k for every doubling.")
        ->delimiter(',');
    group.option("--samples", plan.samples, "Samples of each task and length.")
        ->check(CLI::Range(1U, 1U << 24U));
    group.option("--seed", plan.seed, "The seed of the samples; RULER's is 42.");
    group.option("--essays",
                 plan.essays,
                 "The text of the essay haystacks: JSON {\"text\": …} as RULER's, or plain text. "
                 "Without it, the King James Version makes results RULER-style.");
    group.option(
        "--template",
        plan.wrapper,
        "The text around the prompt: a name of RULER's (base, lwm-chat, meta-llama3, …) or "
        "a text with {task_template} in it.");
    app.add_flag_callback(
           "--sane-wording",
           [&plan] { plan.singular = eval::SingularWording::task_only; },
           "Leave the template alone where RULER's singular wording would rewrite it too.")
        ->group("Needles in haystacks");
    group.flag("--remove-newline-tab",
               plan.removes_newlines,
               "Collapse all white space of the prompt, as RULER's option does.");
    group
        .option("--tokens-to-generate",
                plan.tokens_to_generate,
                "Tokens of the length that are kept free for the answer.")
        ->check(CLI::Range(1U, 1U << 24U));
    group
        .option("--depths",
                plan.depths,
                "Sweep N depths from 0 to 100 % evenly, with --samples at each, instead of RULER's "
                "random depths.")
        ->check(CLI::Range(2U, 1001U))
        ->default_str("");
}

}  // namespace anamnesis::app
