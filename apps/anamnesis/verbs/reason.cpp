// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/reason_job.hpp"

#include "live_table.hpp"
#include "option_group.hpp"
#include "options/asking.hpp"
#include "options/common.hpp"
#include "print_report.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct ReasonOptions {
    CommonOptions common{};
    AskingOptions asking{};
    eval::ReasoningTask task = eval::ReasoningTask::custom;
    std::string data{};
    std::uint64_t limit = 0;  ///< 0: all problems
    std::uint32_t k = 1;
    std::optional<double> temperature{};
    std::optional<double> top_p{};
    std::uint32_t top_k = 0;
    std::uint64_t seed = 0;
    std::uint32_t shots = 0;
    std::string train{};
    std::string prompt_template{};
    bool is_plain = false;
};

void declare_prompts(CLI::App& app, ReasonOptions& options) {
    OptionGroup prompts(app, "Prompts");
    prompts
        .option("--shots",
                options.shots,
                "Worked examples before each question, as a completion: for base models.")
        ->check(CLI::Range(1U, 64U))
        ->default_str("");
    prompts.option(
        "--train", options.train, "The JSON lines that the worked examples are drawn from.");
    prompts.option("--prompt-template",
                   options.prompt_template,
                   "A file with a prompt of your own, with {question} in it.");
    prompts.flag("--plain", options.is_plain, "Ask zero-shot without the model's chat template.")
        ->excludes(app.get_option("--chat"));
}

void declare(CLI::App& app, ReasonOptions& options) {
    OptionGroup required(app, "Required");
    required
        .word("--task",
              options.task,
              eval::reasoning_task_words,
              "The data set: gsm8k, math500, aime24, amc23 or custom.")
        ->required();
    required.option("--data", options.data, "The data set's JSON lines.")->required();
    declare_asking(app, options.asking);
    OptionGroup sampling(app, "Answers");
    sampling.option("--limit", options.limit, "Ask only the first N problems.")
        ->check(find_text_of_zero)
        ->default_str("");
    sampling.option("--k", options.k, "Samples of each problem.")->check(CLI::Range(1U, 4096U));
    sampling
        .option("--temperature",
                options.temperature,
                "The temperature of sampling; 0 is greedy. Default: 0 for --k 1, 0.6 for more "
                "samples.")
        ->check(CLI::Range(0.0, 100.0));
    sampling
        .option("--top-p",
                options.top_p,
                "Sample from the likeliest tokens that reach this mass. Default: 0.95 when "
                "sampling.")
        ->check(CLI::Range(0.0, 1.0));
    sampling.option(
        "--top-k", options.top_k, "Sample from the likeliest k tokens; 0 is all of them.");
    sampling.option("--seed", options.seed, "The seed of samples and worked examples.");
    declare_prompts(app, options);
}

eval::ReasonJob make_job(const ReasonOptions& options, const language::Tokenizer& tokenizer) {
    const double temperature = options.temperature.value_or(options.k > 1 ? 0.6 : 0.0);
    return {.asking = make_asking_job(options.asking, options.common, tokenizer),
            .task = options.task,
            .data = options.data,
            .limit = options.limit,
            .k = options.k,
            .sampling = {.temperature = temperature,
                         .top_k = options.top_k,
                         .top_p = options.top_p.value_or(temperature > 0.0 ? 0.95 : 1.0)},
            .seed = options.seed,
            .shots = options.shots,
            .train = options.train,
            .prompt_template = options.prompt_template,
            .max_new_tokens = options.asking.max_tokens.value_or(8192),
            .chat = describe_chat(options.asking)};
}

int run(const ReasonOptions& stated, Terminal& terminal, const Watch& watch) {
    ReasonOptions options = stated;
    // Examples make a completion; without them the model's chat template does.
    options.asking.chat = options.asking.chat || (options.shots == 0 && !options.is_plain);
    options.asking.without_template =
        "give --plain to ask without one, or --shots and --train for a base model";
    const auto tokenizer = open_tokenizer(options.asking);
    LiveTable table(terminal.is_quiet());
    print_report(
        eval::run_reason(make_job(options, tokenizer), table, watch), options.common, terminal);
    return 0;
}

}  // namespace

Action add_reason(CLI::App& app) {
    return make_action<ReasonOptions>(app, declare, run);
}

}  // namespace anamnesis::app
