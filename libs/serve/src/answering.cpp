// SPDX-License-Identifier: Apache-2.0
#include "answering.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/sampler.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/token_tensors.hpp"

#include "token_scores.hpp"

namespace anamnesis::serve {
namespace {

using language::FinishReason;

class Step {
public:
    Step(const runtime::HybridModel& model, ModelMetrics& metrics)
        : network_(model.network()), end_of_text_(model.end_of_text()), metrics_(metrics) {}

    void run(std::span<Answer* const> answers) {
        std::vector<at::Tensor> hidden;
        for (const Answer* answer : answers) {
            hidden.push_back(answer->hidden);
        }
        const runtime::HostLogits logits(network_.logits(at::cat(hidden)));
        std::vector<Answer*> going;
        std::vector<TokenId> next;
        for (std::size_t i = 0; i < answers.size(); ++i) {
            try {
                if (const auto token = extend(*answers[i], logits.row(i))) {
                    going.push_back(answers[i]);
                    next.push_back(*token);
                }
            } catch (const Error& error) {
                answers[i]->source->job.channel->fail(error);
                answers[i]->has_ended = true;
            }
        }
        advance(going, next);
    }

private:
    /// The token that the answer goes on with; nothing where it has ended.
    std::optional<TokenId> extend(Answer& answer, std::span<const float> logits) {
        const Decoding& how = answer.source->job.decoding;
        if (answer.made >= how.max_new_tokens) {
            end(answer, FinishReason::length);
            return std::nullopt;
        }
        const TokenId token = language::choose(logits, how.sampling, answer.random);
        ++answer.made;
        ++metrics_.new_tokens;
        if (answer.made == 1) {
            metrics_.first_token.add(std::chrono::steady_clock::now() - answer.source->job.arrived);
        }
        if (!how.ignores_end_of_text &&
            std::ranges::find(end_of_text_, token) != end_of_text_.end()) {
            end(answer, FinishReason::end_of_text);
            return std::nullopt;
        }
        TokenChosen chosen{.answer = answer.index, .scored = {.token = token}};
        if (how.scores_tokens) {
            chosen.scored = score_token(logits, token, how.alternatives);
        }
        chosen.text = answer.stream.push(token);
        chosen.certain_tokens = answer.stream.certain_tokens();
        answer.source->job.channel->push(std::move(chosen));
        if (answer.stream.is_stopped()) {
            end(answer, FinishReason::stop_string);
            return std::nullopt;
        }
        if (answer.made >= how.max_new_tokens) {
            end(answer, FinishReason::length);
            return std::nullopt;
        }
        return token;
    }

    void end(Answer& answer, FinishReason reason) {
        AnswerEnded ended{.answer = answer.index, .reason = reason, .text = answer.stream.finish()};
        // The held back text may have completed a stop string.
        ended.reason = answer.stream.is_stopped() ? FinishReason::stop_string : reason;
        ended.stop = answer.stream.found_stop();
        ended.tokens_in_text = answer.stream.tokens_in_text();
        ended.tokens_made = answer.made;
        metrics_.count_answer(ended.reason);
        answer.has_ended = true;
        answer.source->job.channel->push(std::move(ended));
    }

    void advance(std::span<Answer* const> going, std::span<const TokenId> next) {
        if (going.empty()) {
            return;
        }
        std::vector<runtime::NetworkState*> states;
        for (Answer* answer : going) {
            states.push_back(&answer->state);
        }
        const at::Tensor rows =
            network_.advance(runtime::to_token_row(next).t(), states).squeeze(1);
        for (std::size_t i = 0; i < going.size(); ++i) {
            going[i]->hidden = rows.narrow(0, static_cast<std::int64_t>(i), 1).clone();
        }
    }

    const runtime::Network& network_;
    std::vector<TokenId> end_of_text_;
    ModelMetrics& metrics_;
};

}  // namespace

void decode_step(const runtime::HybridModel& model,
                 std::span<Answer* const> answers,
                 ModelMetrics& metrics) {
    Step(model, metrics).run(answers);
}

}  // namespace anamnesis::serve
