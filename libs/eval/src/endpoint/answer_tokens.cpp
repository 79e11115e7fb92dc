// SPDX-License-Identifier: Apache-2.0
#include "endpoint/answer_tokens.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {
namespace {

const Json::Array* find_array(const Json& object, std::string_view name) {
    const Json* list = object.find(name);
    return list != nullptr && list->is_array() ? &list->as_array(name) : nullptr;
}

std::optional<double> find_number(const Json& object, std::string_view name) {
    const Json* number = object.find(name);
    return number != nullptr && number->is_number() ? std::optional(number->as_double(name))
                                                    : std::nullopt;
}

AnswerToken& at_place(std::vector<AnswerToken>& tokens, std::size_t place) {
    tokens.resize(std::max(tokens.size(), place + 1));
    return tokens[place];
}

/// `{"id"?, "token", "logprob", "top_logprobs": [{"token", "logprob"}]}`
void read_entry(const Json& entry, AnswerToken& token) {
    token.text = entry.at("token").as_string("'token'");
    token.logprob = find_number(entry, "logprob");
    if (const Json* id = entry.find("id"); id != nullptr && id->is_number()) {
        token.id = static_cast<language::TokenId>(id->as_integer("'id'"));
    }
    if (const Json::Array* others = find_array(entry, "top_logprobs")) {
        for (const Json& other : *others) {
            if (const auto logprob = find_number(other, "logprob")) {
                token.alternatives.emplace(other.at("token").as_string("'token'"), *logprob);
            }
        }
    }
}

/// `{"tokens": [], "token_logprobs": [], "top_logprobs": [{token: logprob}]}`
void read_columns(const Json& logprobs, std::vector<AnswerToken>& tokens) {
    if (const Json::Array* texts = find_array(logprobs, "tokens")) {
        for (std::size_t i = 0; i < texts->size(); ++i) {
            at_place(tokens, i).text = (*texts)[i].as_string("a token");
        }
    }
    if (const Json::Array* values = find_array(logprobs, "token_logprobs")) {
        for (std::size_t i = 0; i < values->size(); ++i) {
            if ((*values)[i].is_number()) {
                at_place(tokens, i).logprob = (*values)[i].as_double("a log-probability");
            }
        }
    }
    const Json::Array* others = find_array(logprobs, "top_logprobs");
    for (std::size_t i = 0; others != nullptr && i < others->size(); ++i) {
        if (!(*others)[i].is_object()) {
            continue;
        }
        for (const auto& [text, logprob] : (*others)[i].as_object("'top_logprobs'")) {
            if (logprob.is_number()) {
                at_place(tokens, i).alternatives.emplace(text, logprob.as_double(text));
            }
        }
    }
}

}  // namespace

std::vector<AnswerToken> read_answer_tokens(const Json& choice) {
    std::vector<AnswerToken> tokens;
    const Json* logprobs = choice.find("logprobs");
    if (logprobs != nullptr && logprobs->is_object()) {
        if (const Json::Array* content = find_array(*logprobs, "content")) {
            for (std::size_t i = 0; i < content->size(); ++i) {
                read_entry((*content)[i], at_place(tokens, i));
            }
        } else {
            read_columns(*logprobs, tokens);
        }
    }
    const Json::Array* ids = find_array(choice, "token_ids");
    ids = ids != nullptr ? ids : find_array(choice, "tokens");
    for (std::size_t i = 0; ids != nullptr && i < ids->size(); ++i) {
        at_place(tokens, i).id = static_cast<language::TokenId>((*ids)[i].as_integer("a token id"));
    }
    return tokens;
}

}  // namespace anamnesis::eval
