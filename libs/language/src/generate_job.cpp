// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/generate_job.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {
namespace {

using Clock = std::chrono::steady_clock;

double count_seconds(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

double find_rate(std::size_t tokens, double seconds) {
    return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0;
}

std::vector<TokenId> encode_prompt(const LanguageModel& model,
                                   const std::string& prompt,
                                   const GenerateJob& job) {
    if (!job.chat) {
        return model.encode_beginning(prompt);
    }
    std::vector<ChatMessage> messages = open_chat(job);
    messages.push_back({.role = "user", .content = prompt});
    return model.encode(job.chat->render(messages, job.rendering));
}

std::unique_ptr<Sequence> read_prompt(LanguageModel& model,
                                      const std::vector<TokenId>& tokens,
                                      GeneratedAnswers& result,
                                      const Watch& watch) {
    if (tokens.empty()) {
        throw Error(ErrorKind::usage, "the prompt is empty");
    }
    watch.progress().begin("reading the prompt", tokens.size(), ProgressUnit::tokens);
    const auto start = Clock::now();
    std::size_t told = 0;
    std::unique_ptr<Sequence> sequence = model.start();
    model.prefill(
        *sequence,
        tokens,
        [&](std::size_t done) { watch.progress().advance(done - std::exchange(told, done)); },
        watch.stop());
    watch.progress().finish();
    result.timing.prefill_seconds += count_seconds(start);
    result.timing.prompt_tokens += tokens.size();
    result.prompt_tokens.push_back(tokens.size());
    return sequence;
}

void go_on(LanguageModel& model,
           const std::vector<std::unique_ptr<Sequence>>& sequences,
           const GenerateJob& job,
           GeneratedAnswers& result,
           const Watch& watch) {
    std::vector<Sequence*> pointers;
    for (const auto& sequence : sequences) {
        pointers.push_back(sequence.get());
    }
    DecodingOptions how = job.how;
    how.cancel = watch.stop();
    const auto start = Clock::now();
    result.answers = model.generate(pointers, how);
    result.timing.decode_seconds += count_seconds(start);
    for (const Generation& generation : result.answers) {
        result.timing.new_tokens += generation.tokens.size();
    }
}

}  // namespace

void GeneratedAnswers::append(GeneratedAnswers turn) {
    std::ranges::move(turn.answers, std::back_inserter(answers));
    std::ranges::copy(turn.prompt_tokens, std::back_inserter(prompt_tokens));
    timing.prompt_tokens += turn.timing.prompt_tokens;
    timing.prefill_seconds += turn.timing.prefill_seconds;
    timing.new_tokens += turn.timing.new_tokens;
    timing.decode_seconds += turn.timing.decode_seconds;
}

bool GeneratedAnswers::is_interrupted() const {
    return std::ranges::any_of(answers, [](const Generation& generation) {
        return generation.finish == FinishReason::cancelled;
    });
}

std::vector<ChatMessage> open_chat(const GenerateJob& job) {
    std::vector<ChatMessage> messages;
    if (!job.system.empty()) {
        messages.push_back({.role = "system", .content = job.system});
    }
    return messages;
}

GeneratedAnswers answer_prompts(LanguageModel& model,
                                const std::vector<std::string>& prompts,
                                const GenerateJob& job,
                                const Watch& watch) {
    GeneratedAnswers result;
    std::vector<std::unique_ptr<Sequence>> sequences;
    for (const std::string& prompt : prompts) {
        sequences.push_back(read_prompt(model, encode_prompt(model, prompt, job), result, watch));
    }
    go_on(model, sequences, job, result, watch);
    return result;
}

GeneratedAnswers answer_turn(LanguageModel& model,
                             std::vector<ChatMessage>& messages,
                             const GenerateJob& job,
                             const Watch& watch) {
    GeneratedAnswers result;
    std::vector<std::unique_ptr<Sequence>> sequences;
    sequences.push_back(
        read_prompt(model, model.encode(job.chat->render(messages, job.rendering)), result, watch));
    go_on(model, sequences, job, result, watch);
    messages.push_back({.role = "assistant", .content = result.answers.front().text});
    return result;
}

Json to_json(const GeneratedAnswers& answers, bool has_logprobs) {
    Json list = Json::array();
    for (std::size_t i = 0; i < answers.answers.size(); ++i) {
        const Generation& generation = answers.answers[i];
        Json tokens = Json::array();
        Json logprobs = Json::array();
        for (std::size_t t = 0; t < generation.tokens.size(); ++t) {
            tokens.push_back(std::int64_t{generation.tokens[t]});
            logprobs.push_back(generation.logprobs[t]);
        }
        Json answer = Json::Object{{"text", generation.text},
                                   {"finish_reason", to_string(generation.finish)},
                                   {"prompt_tokens", std::uint64_t{answers.prompt_tokens[i]}},
                                   {"tokens", std::move(tokens)}};
        if (has_logprobs) {
            answer.set("logprobs", std::move(logprobs));
        }
        list.push_back(std::move(answer));
    }
    const GenerateTiming& timing = answers.timing;
    return Json::Object{
        {"answers", std::move(list)},
        {"prefill_seconds", timing.prefill_seconds},
        {"prefill_tokens_per_second", find_rate(timing.prompt_tokens, timing.prefill_seconds)},
        {"decode_seconds", timing.decode_seconds},
        {"decode_tokens_per_second", find_rate(timing.new_tokens, timing.decode_seconds)}};
}

std::string to_text(const GenerateTiming& timing) {
    return format("{} prompt tokens at {:.1f}/s, {} new tokens at {:.1f}/s\n",
                  timing.prompt_tokens,
                  find_rate(timing.prompt_tokens, timing.prefill_seconds),
                  timing.new_tokens,
                  find_rate(timing.new_tokens, timing.decode_seconds));
}

std::string to_text(const GeneratedAnswers& answers,
                    const LanguageModel& model,
                    bool has_logprobs) {
    std::string text;
    for (std::size_t i = 0; i < answers.answers.size(); ++i) {
        const Generation& generation = answers.answers[i];
        if (answers.answers.size() > 1) {
            text += format("[{}] {}", i, generation.text);
        }
        text += "\n";
        for (std::size_t t = 0; has_logprobs && t < generation.tokens.size(); ++t) {
            text += format("{:>8} {:>10.5f}  {}\n",
                           generation.tokens[t],
                           generation.logprobs[t],
                           in_quotes(model.decode(std::span(generation.tokens).subspan(t, 1))));
        }
    }
    return text;
}

}  // namespace anamnesis::language
