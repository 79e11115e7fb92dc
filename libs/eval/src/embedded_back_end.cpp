// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/embedded_back_end.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"

#include "shared_prefixes.hpp"

namespace anamnesis::eval {

using language::FinishReason;
using language::Generation;
using language::Sequence;
using language::TokenId;

std::string PromptForm::render(const Question& question) const {
    if (!chat) {
        return question.input + question.answer_prefix;
    }
    const std::vector<language::ChatMessage> messages{{.role = "user", .content = question.input}};
    return chat->render(messages,
                        {.add_generation_prompt = true,
                         .enable_thinking = enable_thinking,
                         .variables = variables}) +
           question.answer_prefix;
}

namespace {

/// True where one call gives the answers of both.
bool are_decoded_alike(const Question& a, const Question& b) {
    return a.max_new_tokens == b.max_new_tokens && a.stop == b.stop &&
           a.sampling.temperature == b.sampling.temperature &&
           a.sampling.top_k == b.sampling.top_k && a.sampling.top_p == b.sampling.top_p;
}

}  // namespace

EmbeddedBackEnd::EmbeddedBackEnd(language::LanguageModel& model, EmbeddedOptions options)
    : model_(model), options_(std::move(options)) {}

Json EmbeddedBackEnd::description() const {
    return Json::Object{{"back_end", "embedded"},
                        {"context_length", std::uint64_t{model_.context_length()}},
                        {"prefill_chunk", std::uint64_t{options_.prefill_chunk}},
                        {"shares_prefixes", options_.shares_prefixes},
                        {"chat", options_.form.chat.has_value()}};
}

void EmbeddedBackEnd::answer(const Next& next, const Take& take, const std::stop_token& cancel) {
    bool is_over = false;
    while (!is_over && !cancel.stop_requested()) {
        std::vector<Prompt> block;
        std::size_t bytes = 0;
        while (bytes < options_.lookahead_bytes && !cancel.stop_requested()) {
            std::optional<Question> question = next();
            if (!question) {
                is_over = true;
                break;
            }
            const std::string text = options_.form.render(*question);
            // A chat template writes its own beginning.
            std::vector<TokenId> tokens =
                options_.form.chat ? model_.encode(text) : model_.encode_beginning(text);
            bytes += text.size() + tokens.size() * sizeof(TokenId);
            const std::size_t room = model_.context_length();
            if (tokens.size() + question->max_new_tokens > room) {
                take.failed(*question,
                            format("the prompt has {} tokens and the answer may have {}, the model "
                                   "takes {}",
                                   tokens.size(),
                                   question->max_new_tokens,
                                   room));
                continue;
            }
            // The model reads them as tokens; the text is not needed again.
            question->input.clear();
            question->input.shrink_to_fit();
            block.push_back({.question = std::move(*question), .tokens = std::move(tokens)});
        }
        answer_block(std::move(block), take, cancel);
    }
}

void EmbeddedBackEnd::answer_block(std::vector<Prompt> prompts,
                                   const Take& take,
                                   const std::stop_token& cancel) {
    if (options_.shares_prefixes) {
        std::ranges::stable_sort(prompts, {}, &Prompt::tokens);
    }
    std::vector<std::size_t> common;
    for (std::size_t i = 0; i + 1 < prompts.size(); ++i) {
        common.push_back(
            options_.shares_prefixes ? common_prefix(prompts[i].tokens, prompts[i + 1].tokens) : 0);
    }
    std::vector<Snapshot> snapshots;
    std::vector<Ready> ready;
    std::size_t waiting_tokens = 0;
    for (std::size_t first = 0; first < prompts.size() && !cancel.stop_requested();) {
        std::size_t end = first + 1;
        while (end < prompts.size() && options_.shares_prefixes &&
               prompts[end].tokens == prompts[first].tokens) {
            ++end;
        }
        const std::size_t shared = first == 0 ? 0 : common[first - 1];
        std::erase_if(snapshots,
                      [shared](const Snapshot& snapshot) { return snapshot.length > shared; });
        const std::size_t known = snapshots.empty() ? 0 : snapshots.back().length;
        const std::vector<std::size_t> places = branch_places(
            std::span(common).subspan(std::min(end - 1, common.size())),
            known,
            options_.prefill_chunk,
            options_.most_snapshots - std::min(options_.most_snapshots - 1, snapshots.size()));
        // Before the next is read: what it takes is not held beside them.
        if (waiting_tokens + prompts[first].tokens.size() > options_.batch_tokens) {
            answer_ready(ready, take, cancel);
        }
        waiting_tokens = (ready.empty() ? 0 : waiting_tokens) + prompts[first].tokens.size();
        std::unique_ptr<Sequence> state;
        try {
            state = read(prompts[first], places, snapshots, cancel);
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::cancelled) {
                return;
            }
            throw;
        }
        add_equal(std::span(prompts).subspan(first, end - first), *state, ready, take, cancel);
        first = end;
    }
    answer_ready(ready, take, cancel);
}

std::unique_ptr<Sequence> EmbeddedBackEnd::read(const Prompt& prompt,
                                                std::span<const std::size_t> places,
                                                std::vector<Snapshot>& snapshots,
                                                const std::stop_token& cancel) {
    std::unique_ptr<Sequence> state =
        snapshots.empty() ? model_.start() : snapshots.back().sequence->fork();
    const std::span<const TokenId> tokens = prompt.tokens;
    const auto read_to = [&](std::size_t end) {
        const std::size_t begin = state->length();
        model_.prefill(*state, tokens.subspan(begin, end - begin), {}, cancel);
        saving_.prefilled_tokens += end - begin;
    };
    for (const std::size_t place : places) {
        // The last token is left: generation begins after a token that was read here.
        if (place < tokens.size()) {
            read_to(place);
            snapshots.push_back({.length = place, .sequence = state->fork()});
        }
    }
    read_to(tokens.size());
    return state;
}

void EmbeddedBackEnd::add_equal(std::span<Prompt> prompts,
                                const Sequence& state,
                                std::vector<Ready>& ready,
                                const Take& take,
                                const std::stop_token& cancel) {
    std::map<std::string, double> logprobs;  // of what is expected, which may differ
    for (Prompt& prompt : prompts) {
        if (!ready.empty() && (ready.size() >= options_.batch ||
                               !are_decoded_alike(ready.front().question, prompt.question))) {
            answer_ready(ready, take, cancel);
        }
        const std::string expected = prompt.question.expected;
        if (!expected.empty() && !logprobs.contains(expected)) {
            double& sum = logprobs[expected];
            for (const language::TokenScore& token : model_.score(state, model_.encode(expected))) {
                sum += token.logprob;
            }
        }
        ready.push_back({.question = std::move(prompt.question),
                         .tokens = prompt.tokens.size(),
                         .sequence = state.fork(),
                         .expected_logprob = expected.empty()
                                                 ? std::nullopt
                                                 : std::optional(logprobs.at(expected))});
    }
}

void EmbeddedBackEnd::answer_ready(std::vector<Ready>& ready,
                                   const Take& take,
                                   const std::stop_token& cancel) {
    using Clock = std::chrono::steady_clock;
    const std::vector<Ready> batch = std::exchange(ready, {});
    if (batch.empty() || cancel.stop_requested()) {
        return;
    }
    const auto begin = Clock::now();
    const Question& question = batch.front().question;
    std::vector<Sequence*> sequences;
    language::DecodingOptions how{.max_new_tokens = question.max_new_tokens,
                                  .sampling = question.sampling,
                                  .stop = question.stop,
                                  .cancel = cancel};
    for (const Ready& one : batch) {
        sequences.push_back(one.sequence.get());
        how.seeds.push_back(one.question.sampling.seed);
    }
    const std::vector<Generation> generations = model_.generate(sequences, how);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (generations[i].finish == FinishReason::cancelled) {
            continue;
        }
        saving_.prompt_tokens += batch[i].tokens;
        take.answered(batch[i].question,
                      {.text = generations[i].text,
                       .finish = generations[i].finish,
                       .prompt_tokens = batch[i].tokens,
                       .new_tokens = generations[i].tokens.size(),
                       .expected_logprob = batch[i].expected_logprob,
                       .seconds = seconds});
    }
}

}  // namespace anamnesis::eval
