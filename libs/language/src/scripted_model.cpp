// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/scripted_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::language {
namespace {

class ScriptedSequence final : public Sequence {
public:
    explicit ScriptedSequence(const ScriptedModel* model) : owner(model) {}
    std::size_t length() const override { return tokens.size(); }
    std::unique_ptr<Sequence> fork() const override {
        return std::make_unique<ScriptedSequence>(*this);
    }

    const ScriptedModel* owner;
    std::vector<TokenId> tokens;
};

ScriptedSequence& own(Sequence& sequence, const ScriptedModel* model) {
    auto* mine = dynamic_cast<ScriptedSequence*>(&sequence);
    if (mine == nullptr || mine->owner != model) {
        throw Error(ErrorKind::usage, "the sequence belongs to another model");
    }
    return *mine;
}

const ScriptedSequence& own(const Sequence& sequence, const ScriptedModel* model) {
    const auto* mine = dynamic_cast<const ScriptedSequence*>(&sequence);
    if (mine == nullptr || mine->owner != model) {
        throw Error(ErrorKind::usage, "the sequence belongs to another model");
    }
    return *mine;
}

void check_tokens(std::span<const TokenId> tokens) {
    for (const TokenId token : tokens) {
        if (token < 0 || token > ScriptedModel::end_token) {
            throw Error(ErrorKind::usage, format("token {} is outside the vocabulary", token));
        }
    }
}

void check_not_empty(const ScriptedSequence& sequence) {
    if (sequence.tokens.empty()) {
        throw Error(ErrorKind::usage, "an empty sequence has no next token");
    }
}

std::string to_bytes(std::span<const TokenId> tokens) {
    std::string bytes;
    for (const TokenId token : tokens) {
        if (token != ScriptedModel::end_token) {
            bytes.push_back(static_cast<char>(token));
        }
    }
    return bytes;
}

double logprob(bool is_expected) {
    return std::log(is_expected ? 0.9 : 0.1 / 256.0);
}

/// Bytes at the end of `text` that may begin a stop string or end inside a character.
std::size_t uncertain_bytes(const std::string& text, const std::vector<std::string>& stop) {
    std::size_t kept = 0;
    for (const std::string& word : stop) {
        for (std::size_t length = std::min(word.size() - 1, text.size()); length > kept; --length) {
            if (text.ends_with(word.substr(0, length))) {
                kept = length;
                break;
            }
        }
    }
    std::size_t position = 0;
    while (position < text.size()) {
        const Utf8Step step = read_utf8(text, position);
        if (step.is_incomplete || position + step.length > text.size() - kept) {
            return text.size() - position;
        }
        position += step.length;
    }
    return kept;
}

/// One answer under way.
struct Answer {
    std::string script{};
    std::string bytes{};  // read so far
    Generation result{};
    std::size_t told = 0;  // bytes given to on_text
    bool is_done = false;

    void tell(std::size_t sequence, std::size_t end, const DecodingOptions& options) {
        if (end > told && options.on_text) {
            options.on_text(sequence,
                            replace_ill_formed(std::string_view(bytes).substr(told, end - told)));
        }
        told = std::max(told, end);
    }

    void end(std::size_t sequence, FinishReason reason, const DecodingOptions& options) {
        is_done = true;
        result.finish = reason;
        tell(sequence, bytes.size(), options);
        result.text = replace_ill_formed(bytes);
    }

    void step(std::size_t sequence, ScriptedSequence& target, const DecodingOptions& options) {
        if (options.cancel.stop_requested()) {
            end(sequence, FinishReason::cancelled, options);
            return;
        }
        if (result.tokens.size() >= options.max_new_tokens) {
            end(sequence, FinishReason::length, options);
            return;
        }
        if (target.length() >= target.owner->context_length()) {
            end(sequence, FinishReason::length, options);
            return;
        }
        if (bytes.size() >= script.size() && !options.ignores_end_of_text) {
            end(sequence, FinishReason::end_of_text, options);
            return;
        }
        // Past the script, a model that may not end goes on with spaces.
        const char next = bytes.size() < script.size() ? script[bytes.size()] : ' ';
        const auto token = static_cast<TokenId>(static_cast<unsigned char>(next));
        bytes.push_back(next);
        target.tokens.push_back(token);
        result.tokens.push_back(token);
        result.logprobs.push_back(logprob(true));
        for (const std::string& word : options.stop) {
            if (bytes.ends_with(word)) {
                bytes.resize(bytes.size() - word.size());
                result.tokens.resize(bytes.size());
                result.logprobs.resize(bytes.size());
                end(sequence, FinishReason::stop_string, options);
                return;
            }
        }
        const std::string rest = bytes.substr(told);
        tell(sequence, bytes.size() - uncertain_bytes(rest, options.stop), options);
    }
};

}  // namespace

ScriptedModel::ScriptedModel(Script script, std::size_t context_length)
    : script_(std::move(script)), context_length_(context_length) {}

std::vector<TokenId> ScriptedModel::encode(std::string_view text) const {
    std::vector<TokenId> tokens;
    tokens.reserve(text.size());
    for (const char byte : text) {
        tokens.push_back(static_cast<unsigned char>(byte));
    }
    return tokens;
}

std::string ScriptedModel::decode(std::span<const TokenId> tokens) const {
    check_tokens(tokens);
    return replace_ill_formed(to_bytes(tokens));
}

std::unique_ptr<Sequence> ScriptedModel::start() {
    return std::make_unique<ScriptedSequence>(this);
}

void ScriptedModel::prefill(Sequence& sequence,
                            std::span<const TokenId> tokens,
                            const PrefillProgress& progress,
                            const std::stop_token& cancel) {
    ScriptedSequence& target = own(sequence, this);
    check_tokens(tokens);
    if (tokens.size() > context_length_ - std::min(context_length_, target.length())) {
        throw Error(ErrorKind::exhausted,
                    format("{} tokens do not fit after {}, the model reads at most {}",
                           tokens.size(),
                           target.length(),
                           context_length_));
    }
    if (cancel.stop_requested()) {
        throw Error(ErrorKind::cancelled, "reading the prompt was cancelled");
    }
    target.tokens.insert(target.tokens.end(), tokens.begin(), tokens.end());
    if (progress) {
        progress(tokens.size());
    }
}

std::vector<Generation> ScriptedModel::generate(std::span<Sequence* const> sequences,
                                                const DecodingOptions& options) {
    if (std::ranges::any_of(options.stop, [](const std::string& it) { return it.empty(); })) {
        throw Error(ErrorKind::usage, "a stop string is empty");
    }
    std::vector<ScriptedSequence*> targets;
    std::vector<Answer> answers;
    for (Sequence* sequence : sequences) {
        targets.push_back(&own(*sequence, this));
        check_not_empty(*targets.back());
        answers.push_back({.script = script_(to_bytes(targets.back()->tokens))});
    }
    bool is_going_on = true;
    while (is_going_on) {
        is_going_on = false;
        for (std::size_t i = 0; i < answers.size(); ++i) {
            if (!answers[i].is_done) {
                answers[i].step(i, *targets[i], options);
                is_going_on = true;
            }
        }
    }
    std::vector<Generation> results;
    for (Answer& answer : answers) {
        results.push_back(std::move(answer.result));
    }
    return results;
}

std::vector<TokenScore> ScriptedModel::score(const Sequence& sequence,
                                             std::span<const TokenId> continuation) {
    const ScriptedSequence& target = own(sequence, this);
    check_not_empty(target);
    check_tokens(continuation);
    const std::string answer = script_(to_bytes(target.tokens));
    std::vector<TokenScore> scores;
    bool is_on_script = true;
    for (std::size_t i = 0; i < continuation.size(); ++i) {
        const TokenId expected =
            i < answer.size() ? static_cast<unsigned char>(answer[i]) : end_token;
        is_on_script = is_on_script && continuation[i] == expected;
        scores.push_back({.logprob = logprob(is_on_script),
                          .logit = logprob(is_on_script),
                          .is_greedy = is_on_script});
    }
    return scores;
}

}  // namespace anamnesis::language
