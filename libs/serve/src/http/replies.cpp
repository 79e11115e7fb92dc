// SPDX-License-Identifier: Apache-2.0
#include "http/replies.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "http/token_names.hpp"

namespace anamnesis::serve {
namespace {

using language::FinishReason;

Json name_finish(FinishReason reason) {
    return reason == FinishReason::length ? "length" : "stop";
}

Json name_stop(const AnswerEnded& end) {
    return end.stop.empty() ? Json() : Json(end.stop);
}

Json list_tokens(std::span<const TokenId> tokens) {
    Json list = Json::array();
    for (const TokenId token : tokens) {
        list.push_back(std::int64_t{token});
    }
    return list;
}

Json count_usage(const Generation& generation, std::size_t reused, std::size_t made) {
    return Json::Object{
        {"prompt_tokens", std::uint64_t{generation.prompt_tokens}},
        {"completion_tokens", std::uint64_t{made}},
        {"total_tokens", std::uint64_t{generation.prompt_tokens + made}},
        {"prompt_tokens_details", Json::Object{{"cached_tokens", std::uint64_t{reused}}}}};
}

Json make_head(const Generation& generation, const char* object) {
    return Json::Object{{"id", generation.id},
                        {"object", object},
                        {"created", generation.created},
                        {"model", generation.served->name}};
}

const language::Tokenizer& tokenizer_of(const Generation& generation) {
    return generation.served->model->tokenizer();
}

/// The text that comes before an answer.
const std::string& find_echo(const Generation& generation, std::size_t answer) {
    static const std::string none;
    return generation.echoes.empty() ? none : generation.echoes[answer / generation.how.answers];
}

/// The tokens whose text comes before an answer's.
std::span<const TokenId> find_echoed(const Generation& generation, std::size_t answer) {
    return generation.echoes.empty() ? std::span<const TokenId>()
                                     : std::span<const TokenId>(generation.prompt_of(answer));
}

std::vector<TokenId> list_ids(std::span<const ScoredToken> tokens) {
    std::vector<TokenId> ids;
    for (const ScoredToken& token : tokens) {
        ids.push_back(token.token);
    }
    return ids;
}

}  // namespace

Answers::Answers(const Generation& generation)
    : generation_(generation),
      answers_(generation.count_answers()),
      prompt_scores_(generation.jobs.size()) {}

void Answers::add(Event event) {
    if (const auto* failed = std::get_if<RequestFailed>(&event)) {
        throw Error(failed->error);
    }
    if (auto* read = std::get_if<PromptRead>(&event)) {
        reused_tokens_ += read->reused_tokens;
        prompt_scores_[read->prompt_index] = std::move(read->scores);
    } else if (auto* chosen = std::get_if<TokenChosen>(&event)) {
        Answer& answer = answers_[chosen->answer];
        answer.text += chosen->text;
        answer.tokens.push_back(std::move(chosen->scored));
    } else {
        auto& end = std::get<AnswerEnded>(event);
        Answer& answer = answers_[end.answer];
        answer.text += end.text;
        answer.tokens.resize(std::min(answer.tokens.size(), end.tokens_in_text));
        new_tokens_ += end.tokens_made;
        ++ended_;
        answer.end = std::move(end);
    }
}

Json Answers::make_usage() const {
    return count_usage(generation_, reused_tokens_, new_tokens_);
}

Json Answers::make_choice(std::size_t index) const {
    const Answer& answer = answers_[index];
    const bool wants_logprobs = generation_.how.wants_logprobs;
    Json choice = Json::Object{{"index", std::uint64_t{index}}};
    if (generation_.is_chat) {
        choice.set("message", Json::Object{{"role", "assistant"}, {"content", answer.text}});
        choice.set("logprobs",
                   wants_logprobs ? make_logprob_entries(tokenizer_of(generation_), answer.tokens)
                                  : Json());
    } else {
        choice.set("text", find_echo(generation_, index) + answer.text);
        choice.set("logprobs", wants_logprobs ? make_columns(index) : Json());
    }
    choice.set("finish_reason", name_finish(answer.end.reason));
    choice.set("stop_reason", name_stop(answer.end));
    if (generation_.how.returns_token_ids) {
        choice.set("token_ids", list_tokens(list_ids(answer.tokens)));
        choice.set("prompt_token_ids", list_tokens(generation_.prompt_of(index)));
    }
    return choice;
}

Json Answers::make_columns(std::size_t index) const {
    const language::Tokenizer& tokenizer = tokenizer_of(generation_);
    const Answer& answer = answers_[index];
    const std::span<const TokenId> echoed = find_echoed(generation_, index);
    std::vector<std::string> pieces =
        cut_text(tokenizer, {}, echoed, find_echo(generation_, index));
    std::vector<ScoredToken> tokens;
    std::optional<TokenId> first;
    if (!echoed.empty()) {
        first = echoed.front();
        tokens = prompt_scores_[index / generation_.how.answers];
    }
    std::ranges::move(cut_text(tokenizer, echoed, list_ids(answer.tokens), answer.text),
                      std::back_inserter(pieces));
    tokens.insert(tokens.end(), answer.tokens.begin(), answer.tokens.end());
    std::size_t offset = 0;
    return make_logprob_columns(tokenizer, pieces, first, tokens, offset);
}

Json Answers::make_reply() const {
    Json reply =
        make_head(generation_, generation_.is_chat ? "chat.completion" : "text_completion");
    Json choices = Json::array();
    for (std::size_t i = 0; i < answers_.size(); ++i) {
        choices.push_back(make_choice(i));
    }
    reply.set("choices", std::move(choices));
    reply.set("usage", make_usage());
    return reply;
}

AnswerChunks::AnswerChunks(const Generation& generation)
    : generation_(generation),
      offsets_(generation.count_answers()),
      tellings_(generation.count_answers()) {
    const bool has_columns = generation.how.wants_logprobs && !generation.is_chat;
    for (std::size_t answer = 0; has_columns && answer < offsets_.size(); ++answer) {
        pieces_.emplace_back(tokenizer_of(generation), find_echoed(generation, answer));
    }
}

Json AnswerChunks::make_chunk(Json::Array choices) const {
    Json chunk =
        make_head(generation_, generation_.is_chat ? "chat.completion.chunk" : "text_completion");
    chunk.set("choices", std::move(choices));
    return chunk;
}

Json AnswerChunks::make_choice(std::size_t answer, const std::string& text, Json finish) const {
    Json choice = Json::Object{{"index", std::uint64_t{answer}}};
    if (generation_.is_chat) {
        choice.set("delta", text.empty() ? Json::object() : Json(Json::Object{{"content", text}}));
    } else {
        choice.set("text", text);
    }
    choice.set("logprobs", Json());
    choice.set("finish_reason", std::move(finish));
    return choice;
}

std::vector<Json> AnswerChunks::begin_answers(const PromptRead& read) {
    reused_tokens_ += read.reused_tokens;
    std::vector<Json> chunks;
    for (std::size_t i = 0; i < generation_.how.answers; ++i) {
        const std::size_t answer = read.prompt_index * generation_.how.answers + i;
        if (generation_.is_chat) {
            Json choice = make_choice(answer, "", Json());
            choice.set("delta", Json::Object{{"role", "assistant"}, {"content", ""}});
            chunks.push_back(make_chunk({std::move(choice)}));
        } else if (!generation_.echoes.empty()) {
            Json choice = make_choice(answer, find_echo(generation_, answer), Json());
            if (generation_.how.wants_logprobs) {
                const language::Tokenizer& tokenizer = tokenizer_of(generation_);
                const std::span<const TokenId> echoed = find_echoed(generation_, answer);
                const auto pieces = cut_text(tokenizer, {}, echoed, find_echo(generation_, answer));
                choice.set("logprobs",
                           make_logprob_columns(
                               tokenizer, pieces, echoed.front(), read.scores, offsets_[answer]));
            }
            chunks.push_back(make_chunk({std::move(choice)}));
        }
    }
    return chunks;
}

std::vector<Json> AnswerChunks::add_token(const TokenChosen& chosen) {
    const bool tells_tokens = generation_.how.wants_logprobs || generation_.how.returns_token_ids;
    Json choice = make_choice(chosen.answer, chosen.text, Json());
    if (tells_tokens) {
        tellings_[chosen.answer].waiting.push_back(chosen.scored);
        tellings_[chosen.answer].text += chosen.text;
    }
    const bool tells = tell_tokens(choice, chosen.answer, chosen.certain_tokens);
    return tells || !chosen.text.empty() ? std::vector<Json>{make_chunk({std::move(choice)})}
                                         : std::vector<Json>();
}

bool AnswerChunks::tell_tokens(Json& choice, std::size_t answer, std::size_t until) {
    Telling& telling = tellings_[answer];
    const std::size_t count =
        std::min(until - std::min(until, telling.told), telling.waiting.size());
    if (count == 0) {
        return false;
    }
    const auto end = telling.waiting.begin() + static_cast<std::ptrdiff_t>(count);
    const std::vector<ScoredToken> tokens(telling.waiting.begin(), end);
    telling.waiting.erase(telling.waiting.begin(), end);
    telling.told += count;
    if (generation_.how.wants_logprobs) {
        choice.set("logprobs", make_logprobs(answer, tokens));
    }
    if (generation_.how.returns_token_ids) {
        choice.set("token_ids", list_tokens(list_ids(tokens)));
    }
    return true;
}

Json AnswerChunks::make_logprobs(std::size_t answer, std::span<const ScoredToken> tokens) {
    const language::Tokenizer& tokenizer = tokenizer_of(generation_);
    if (generation_.is_chat) {
        return make_logprob_entries(tokenizer, tokens);
    }
    Telling& telling = tellings_[answer];
    std::vector<std::string> pieces;
    for (const ScoredToken& token : tokens) {
        std::string piece = pieces_[answer].push(token.token);
        // The text may end within the last token, where a stop string begins.
        const std::string_view rest =
            std::string_view(telling.text).substr(std::min(telling.pieces, telling.text.size()));
        if (telling.has_stopped && rest.size() < piece.size() && piece.starts_with(rest)) {
            piece = rest;
        }
        telling.pieces += piece.size();
        pieces.push_back(std::move(piece));
    }
    return make_logprob_columns(tokenizer, pieces, std::nullopt, tokens, offsets_[answer]);
}

std::vector<Json> AnswerChunks::make_chunks(const Event& event) {
    if (const auto* failed = std::get_if<RequestFailed>(&event)) {
        throw Error(failed->error);
    }
    if (const auto* read = std::get_if<PromptRead>(&event)) {
        return begin_answers(*read);
    }
    if (const auto* chosen = std::get_if<TokenChosen>(&event)) {
        return add_token(*chosen);
    }
    const auto& end = std::get<AnswerEnded>(event);
    ++ended_;
    new_tokens_ += end.tokens_made;
    Json choice = make_choice(end.answer, end.text, name_finish(end.reason));
    tellings_[end.answer].text += end.text;
    tellings_[end.answer].has_stopped = !end.stop.empty();
    tell_tokens(choice, end.answer, end.tokens_in_text);
    choice.set("stop_reason", name_stop(end));
    return {make_chunk({std::move(choice)})};
}

Json AnswerChunks::make_usage_chunk() const {
    Json chunk = make_chunk({});
    chunk.set("usage", count_usage(generation_, reused_tokens_, new_tokens_));
    return chunk;
}

}  // namespace anamnesis::serve
