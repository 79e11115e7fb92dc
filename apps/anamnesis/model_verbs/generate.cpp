// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/standard_input.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/chat_variables.hpp"
#include "anamnesis/language/generate_job.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/sampler.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct GenerateOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::vector<std::string> prompts{};
    std::vector<std::string> prompt_files{};
    bool chat = false;
    std::vector<std::string> chat_variables{};
    std::string system{};
    std::optional<bool> thinking{};
    std::uint32_t max_tokens = 256;
    double temperature = 0.0;
    double top_p = 1.0;
    std::uint32_t top_k = 0;
    std::uint64_t seed = 0;
    std::vector<std::string> stop{};
    bool ignore_eos = false;
    bool logprobs = false;
};

void declare_sampling(CLI::App& app, GenerateOptions& options) {
    OptionGroup answer(app, "The answer");
    answer.option("--max-tokens", options.max_tokens, "The longest answer in tokens.");
    answer
        .option("--temperature", options.temperature, "The temperature of sampling; 0 is greedy.")
        ->check(CLI::Range(0.0, 100.0));
    answer
        .option("--top-p", options.top_p, "Sample from the likeliest tokens that reach this mass.")
        ->check(CLI::Range(0.0, 1.0));
    answer.option(
        "--top-k", options.top_k, "Sample from the likeliest k tokens; 0 is all of them.");
    answer.option("--seed", options.seed, "The seed of the sampling.");
    answer.prose("--stop", options.stop, "A text that ends the answer; may be given again.");
    answer.flag("--ignore-eos", options.ignore_eos, "Go on past the end-of-text token.");
    answer.flag("--logprobs", options.logprobs, "Print the log-probability of every token.");
}

void declare(CLI::App& app, GenerateOptions& options) {
    OptionGroup(app, "Required")
        .option("--model", options.checkpoint, "The checkpoint (folder or GGUF).")
        ->required();
    OptionGroup prompt(app, "The prompt");
    prompt.prose(
        "--prompt", options.prompts, "A text to go on from; several are answered together.");
    prompt.option(
        "--prompt-file", options.prompt_files, "The same from a file; - is standard input.");
    CLI::Option* chat = prompt.flag(
        "--chat",
        options.chat,
        "Prompts are turns of a user, in the model's chat template. Without a prompt, a "
        "conversation line by line.");
    prompt.prose("--system", options.system, "With --chat: the system text.")->needs(chat);
    prompt.option("--thinking", options.thinking, "With --chat: the thinking switch, 0 or 1.")
        ->needs(chat);
    prompt.option("--chat-var", options.chat_variables, language::chat_variable_help)->needs(chat);
    declare_sampling(app, options);
    declare_adapter(app, options.model);
    declare_model(app, options.model);
    OptionGroup(app, "Running the model")
        .option("--chunk", options.model.chunk, "Tokens of a prompt that are read at once.")
        ->check(CLI::Range(1U, 1U << 20U))
        ->default_str("1024");
    declare_reading(app, options.reading);
}

std::vector<std::string> read_prompts(const GenerateOptions& options) {
    std::vector<std::string> prompts = options.prompts;
    for (const std::string& path : options.prompt_files) {
        prompts.push_back(path == "-" ? io::read_standard_input() : io::read_text(path, 1U << 30U));
    }
    return prompts;
}

/// A conversation, one line a turn, until the input ends; what was answered.
language::GeneratedAnswers converse(language::LanguageModel& model,
                                    const language::GenerateJob& job,
                                    const GenerateOptions& options,
                                    const Terminal& terminal,
                                    const Watch& watch) {
    std::vector<language::ChatMessage> messages = language::open_chat(job);
    language::GeneratedAnswers answers;
    while (!answers.is_interrupted()) {
        if (!terminal.is_quiet()) {
            static_cast<void>(std::fputs("> ", stderr));
        }
        const std::optional<std::string> line = io::read_input_line(watch);
        if (!line) {
            break;
        }
        messages.push_back({.role = "user", .content = *line});
        language::GeneratedAnswers turn = answer_turn(model, messages, job, watch);
        if (!options.common.json) {
            terminal.result(to_text(turn, model, options.logprobs));
        }
        answers.append(std::move(turn));
    }
    return answers;
}

language::GenerateJob make_job(const GenerateOptions& options,
                               std::size_t prompts,
                               Terminal& terminal) {
    language::GenerateJob job{
        .system = options.system,
        .rendering = {.enable_thinking = options.thinking,
                      .variables = language::parse_chat_variables(options.chat_variables)},
        .how = {.max_new_tokens = options.max_tokens,
                .sampling = {.temperature = options.temperature,
                             .top_k = options.top_k,
                             .top_p = options.top_p,
                             .seed = options.seed},
                .stop = options.stop,
                .ignores_end_of_text = options.ignore_eos}};
    if (options.chat) {
        job.chat = language::ChatTemplate::open(
            options.model.tokenizer.empty() ? options.checkpoint : options.model.tokenizer,
            "leave out --chat");
    }
    // Several answers at once would interleave.
    if (prompts < 2 && !options.common.json) {
        job.how.on_text = [&terminal](std::size_t /*sequence*/, std::string_view text) {
            terminal.result(text);
            static_cast<void>(std::fflush(stdout));
        };
    }
    return job;
}

int run(const GenerateOptions& options, Terminal& terminal, const Watch& watch) {
    const std::vector<std::string> prompts = read_prompts(options);
    if (prompts.empty() && !options.chat) {
        throw Error(ErrorKind::usage,
                    "there is nothing to go on from: give --prompt, --prompt-file or --chat");
    }
    const language::GenerateJob job = make_job(options, prompts.size(), terminal);
    language::refuse_idle_settings(job.how.sampling);
    const OpenedModel opened =
        open_model(eval::name_model(options.checkpoint, options.model.adapters),
                   options.model,
                   options.reading,
                   options.common);
    const language::GeneratedAnswers answers =
        prompts.empty() ? converse(*opened.model, job, options, terminal, watch)
                        : answer_prompts(*opened.model, prompts, job, watch);
    if (options.common.json) {
        terminal.result(add_findings(to_json(answers, options.logprobs), opened.findings).dump(2) +
                        "\n");
    } else if (!prompts.empty()) {
        terminal.result(to_text(answers, *opened.model, options.logprobs));
    }
    if (!terminal.is_quiet()) {
        static_cast<void>(std::fputs(to_text(answers.timing).c_str(), stderr));
    }
    return answers.is_interrupted() ? to_exit_code(ErrorKind::cancelled) : 0;
}

}  // namespace

Action add_generate(CLI::App& app) {
    return make_action<GenerateOptions>(app, declare, run);
}

}  // namespace anamnesis::app
