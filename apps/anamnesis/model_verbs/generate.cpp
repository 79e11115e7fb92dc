// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <poll.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/chat.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
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
    answer.option("--stop", options.stop, "A text that ends the answer; may be given again.");
    answer.flag("--ignore-eos", options.ignore_eos, "Go on past the end-of-text token.");
    answer.flag("--logprobs", options.logprobs, "Print the log-probability of every token.");
}

void declare(CLI::App& app, GenerateOptions& options) {
    OptionGroup(app, "Required")
        .option("--model", options.checkpoint, "The checkpoint folder.")
        ->required();
    OptionGroup prompt(app, "The prompt");
    prompt.option(
        "--prompt", options.prompts, "A text to go on from; several are answered together.");
    prompt.option(
        "--prompt-file", options.prompt_files, "The same from a file; - is standard input.");
    prompt.flag("--chat",
                options.chat,
                "Prompts are turns of a user, in the model's chat template. Without a prompt, a "
                "conversation line by line.");
    prompt.option("--system", options.system, "With --chat: the system text.");
    prompt.option("--thinking",
                  options.thinking,
                  "With --chat: the thinking switch of the template, 0 or 1.");
    prompt.option("--chat-var", options.chat_variables, chat_variable_help);
    declare_sampling(app, options);
    declare_model(app, options.model);
    OptionGroup(app, "Running the model")
        .option("--chunk", options.model.chunk, "Tokens of a prompt that are read at once.")
        ->check(CLI::Range(1U, 1U << 20U))
        ->default_str("1024");
    declare_reading(app, options.reading);
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string read_standard_input() {
    std::string text;
    std::string buffer(1U << 16U, '\0');
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
        text.append(buffer, 0, count);
    }
    return text;
}

/// Waits until there is something to read, or the input is over; false after a stop.
bool wait_for_input(const Watch& watch) {
    constexpr int pause = 100;  // milliseconds
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (!watch.is_stopped()) {
        if (::poll(&input, 1, pause) != 0) {
            return true;
        }
    }
    return false;
}

/// One line without its end; nothing at the end of the input or after a stop.
std::optional<std::string> read_line(const Watch& watch) {
    std::string line;
    while (wait_for_input(watch)) {
        char c = 0;
        const ssize_t count = ::read(STDIN_FILENO, &c, 1);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return line.empty() ? std::nullopt : std::optional(line);
        }
        if (c == '\n') {
            return line;
        }
        line += c;
    }
    return std::nullopt;
}

std::vector<std::string> read_prompts(const GenerateOptions& options) {
    std::vector<std::string> prompts = options.prompts;
    for (const std::string& path : options.prompt_files) {
        prompts.push_back(path == "-" ? read_standard_input() : io::read_text(path, 1U << 30U));
    }
    return prompts;
}

/// Figures of a whole call.
struct Timing {
    std::size_t prompt_tokens = 0;
    double prefill_seconds = 0.0;
    std::size_t new_tokens = 0;
    double decode_seconds = 0.0;
};

class Session {
public:
    Session(const GenerateOptions& options, Terminal& terminal, const Watch& watch)
        : options_(options),
          terminal_(terminal),
          watch_(watch),
          model_(open_model(options.checkpoint, options.model, options.reading, options.common)) {
        if (options.chat) {
            template_ = language::ChatTemplate::open(
                options.model.tokenizer.empty() ? options.checkpoint : options.model.tokenizer);
        }
    }

    /// Every prompt once, all of them in step.
    int answer(const std::vector<std::string>& prompts) {
        std::vector<std::unique_ptr<language::Sequence>> sequences;
        std::vector<language::Sequence*> pointers;
        Timing timing;
        std::vector<std::size_t> prompt_tokens;
        for (const std::string& prompt : prompts) {
            sequences.push_back(model_->start());
            pointers.push_back(sequences.back().get());
            const std::string text = options_.chat ? render(opening_with(prompt)) : prompt;
            prompt_tokens.push_back(read(*sequences.back(), model_->encode(text), timing));
        }
        const std::vector<language::Generation> generations = generate(pointers, timing);
        if (options_.common.json) {
            terminal_.result(to_json(generations, prompt_tokens, timing).dump(2) + "\n");
        } else {
            print(generations);
        }
        report(timing);
        return is_interrupted(generations) ? to_exit_code(ErrorKind::cancelled) : 0;
    }

    /// A conversation, one line a turn, until the input ends.
    int converse() {
        std::vector<language::ChatMessage> messages = opening();
        while (true) {
            prompt_for_line();
            const std::optional<std::string> line = read_line(watch_);
            if (!line) {
                return 0;
            }
            messages.push_back({.role = "user", .content = *line});
            const std::unique_ptr<language::Sequence> sequence = model_->start();
            Timing timing;
            read(*sequence, model_->encode(render(messages)), timing);
            language::Sequence* pointer = sequence.get();
            const auto generations = generate(std::span(&pointer, 1), timing);
            terminal_.result("\n");
            if (is_interrupted(generations)) {
                return to_exit_code(ErrorKind::cancelled);
            }
            messages.push_back({.role = "assistant", .content = generations.front().text});
        }
    }

private:
    std::vector<language::ChatMessage> opening() const {
        std::vector<language::ChatMessage> messages;
        if (!options_.system.empty()) {
            messages.push_back({.role = "system", .content = options_.system});
        }
        return messages;
    }

    std::vector<language::ChatMessage> opening_with(const std::string& prompt) const {
        std::vector<language::ChatMessage> messages = opening();
        messages.push_back({.role = "user", .content = prompt});
        return messages;
    }

    std::string render(const std::vector<language::ChatMessage>& messages) const {
        return template_->render(
            messages,
            {.add_generation_prompt = true,
             .enable_thinking = options_.thinking,
             .variables = parse_chat_variables(options_.chat_variables)});
    }

    /// Reads a prompt and counts it.
    std::size_t read(language::Sequence& sequence,
                     const std::vector<language::TokenId>& tokens,
                     Timing& timing) {
        if (tokens.empty()) {
            throw Error(ErrorKind::usage, "the prompt is empty");
        }
        watch_.progress().begin("reading the prompt", tokens.size(), ProgressUnit::tokens);
        const auto start = Clock::now();
        std::size_t told = 0;
        model_->prefill(
            sequence,
            tokens,
            [&](std::size_t done) { watch_.progress().advance(done - std::exchange(told, done)); },
            watch_.stop());
        watch_.progress().finish();
        timing.prefill_seconds += seconds_since(start);
        timing.prompt_tokens += tokens.size();
        return tokens.size();
    }

    std::vector<language::Generation> generate(std::span<language::Sequence* const> sequences,
                                               Timing& timing) {
        language::GenerateOptions how{.max_new_tokens = options_.max_tokens,
                                      .sampling = {.temperature = options_.temperature,
                                                   .top_k = options_.top_k,
                                                   .top_p = options_.top_p,
                                                   .seed = options_.seed},
                                      .stop = options_.stop,
                                      .ignores_end_of_text = options_.ignore_eos,
                                      .cancel = watch_.stop()};
        // Several answers at once would interleave.
        if (sequences.size() == 1 && !options_.common.json) {
            how.on_text = [this](std::size_t /*sequence*/, std::string_view text) {
                terminal_.result(text);
                static_cast<void>(std::fflush(stdout));
            };
        }
        const auto start = Clock::now();
        std::vector<language::Generation> generations = model_->generate(sequences, how);
        timing.decode_seconds += seconds_since(start);
        for (const language::Generation& generation : generations) {
            timing.new_tokens += generation.tokens.size();
        }
        return generations;
    }

    void print(const std::vector<language::Generation>& generations) {
        for (std::size_t i = 0; i < generations.size(); ++i) {
            if (generations.size() > 1) {
                terminal_.result(format("[{}] {}", i, generations[i].text));
            }
            terminal_.result("\n");
            if (options_.logprobs) {
                print_logprobs(generations[i]);
            }
        }
    }

    void print_logprobs(const language::Generation& generation) {
        for (std::size_t i = 0; i < generation.tokens.size(); ++i) {
            const std::string text = model_->decode(std::span(generation.tokens).subspan(i, 1));
            terminal_.result(format("{:>8} {:>10.5f}  {}\n",
                                    generation.tokens[i],
                                    generation.logprobs[i],
                                    in_quotes(text)));
        }
    }

    Json to_json(const std::vector<language::Generation>& generations,
                 const std::vector<std::size_t>& prompt_tokens,
                 const Timing& timing) const {
        Json answers = Json::array();
        for (std::size_t i = 0; i < generations.size(); ++i) {
            const language::Generation& generation = generations[i];
            Json tokens = Json::array();
            Json logprobs = Json::array();
            for (std::size_t t = 0; t < generation.tokens.size(); ++t) {
                tokens.push_back(std::int64_t{generation.tokens[t]});
                logprobs.push_back(generation.logprobs[t]);
            }
            Json answer = Json::Object{{"text", generation.text},
                                       {"finish_reason", to_string(generation.finish)},
                                       {"prompt_tokens", std::uint64_t{prompt_tokens[i]}},
                                       {"tokens", std::move(tokens)}};
            if (options_.logprobs) {
                answer.set("logprobs", std::move(logprobs));
            }
            answers.push_back(std::move(answer));
        }
        return Json::Object{
            {"answers", std::move(answers)},
            {"prefill_seconds", timing.prefill_seconds},
            {"prefill_tokens_per_second", rate(timing.prompt_tokens, timing.prefill_seconds)},
            {"decode_seconds", timing.decode_seconds},
            {"decode_tokens_per_second", rate(timing.new_tokens, timing.decode_seconds)}};
    }

    static double rate(std::size_t tokens, double seconds) {
        return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0;
    }

    void report(const Timing& timing) const {
        if (!terminal_.is_quiet()) {
            static_cast<void>(
                std::fputs(format("{} prompt tokens at {:.1f}/s, {} new tokens at {:.1f}/s\n",
                                  timing.prompt_tokens,
                                  rate(timing.prompt_tokens, timing.prefill_seconds),
                                  timing.new_tokens,
                                  rate(timing.new_tokens, timing.decode_seconds))
                               .c_str(),
                           stderr));
        }
    }

    void prompt_for_line() const {
        if (!terminal_.is_quiet()) {
            static_cast<void>(std::fputs("> ", stderr));
        }
    }

    static bool is_interrupted(const std::vector<language::Generation>& generations) {
        return std::ranges::any_of(generations, [](const language::Generation& generation) {
            return generation.finish == language::FinishReason::cancelled;
        });
    }

    const GenerateOptions& options_;
    Terminal& terminal_;
    const Watch& watch_;
    std::unique_ptr<runtime::HybridModel> model_;
    std::optional<language::ChatTemplate> template_;
};

int run(const GenerateOptions& options, Terminal& terminal, const Watch& watch) {
    const std::vector<std::string> prompts = read_prompts(options);
    if (prompts.empty() && !options.chat) {
        throw Error(ErrorKind::usage,
                    "there is nothing to go on from: give --prompt, --prompt-file or --chat");
    }
    if (!options.chat && (!options.system.empty() || options.thinking)) {
        throw Error(ErrorKind::usage, "--system and --thinking belong to --chat");
    }
    Session session(options, terminal, watch);
    return prompts.empty() ? session.converse() : session.answer(prompts);
}

}  // namespace

Action add_generate(CLI::App& app) {
    return make_action<GenerateOptions>(app, declare, run);
}

}  // namespace anamnesis::app
