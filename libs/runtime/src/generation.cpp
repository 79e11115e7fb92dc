// SPDX-License-Identifier: Apache-2.0
#include "generation.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "anamnesis/base/random.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/sampler.hpp"
#include "anamnesis/language/text_stream.hpp"
#include "anamnesis/runtime/token_tensors.hpp"

#include "hybrid_sequence.hpp"

namespace anamnesis::runtime {
namespace {

using language::FinishReason;
using language::Generation;
using language::TokenId;

/// A batch of answers under way.
class SequenceBatch {
public:
    SequenceBatch(const Generator& generator,
                  std::span<HybridSequence* const> sequences,
                  const language::DecodingOptions& options)
        : generator_(generator), options_(options), results_(sequences.size()) {
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            answers_.push_back({.sequence = sequences[i],
                                .index = i,
                                .random = options.seeds.empty()
                                              ? language::sampling_stream(options.sampling.seed, i)
                                              : language::sampling_stream(options.seeds.at(i), 0),
                                .stream = language::TextStream(generator.tokenizer, options.stop)});
        }
    }

    std::vector<Generation> run() {
        while (!answers_.empty() && !options_.cancel.stop_requested()) {
            choose();
            advance();
        }
        for (Answer& answer : answers_) {
            finish(answer, FinishReason::cancelled);
        }
        return std::move(results_);
    }

private:
    struct Answer {
        HybridSequence* sequence = nullptr;
        std::size_t index = 0;  ///< in the caller's list
        Random random;
        language::TextStream stream;
        Generation result{};
    };

    /// A token for every answer; those that end leave.
    void choose() {
        std::vector<at::Tensor> hidden;
        for (const Answer& answer : answers_) {
            hidden.push_back(answer.sequence->last_hidden());
        }
        const HostLogits logits(generator_.network.logits(at::cat(hidden)));
        std::vector<Answer> going;
        for (std::size_t i = 0; i < answers_.size(); ++i) {
            if (extend(answers_[i], logits.row(i))) {
                going.push_back(std::move(answers_[i]));
            }
        }
        answers_ = std::move(going);
    }

    /// True where the answer goes on after one more token.
    bool extend(Answer& answer, std::span<const float> logits) {
        Generation& result = answer.result;
        if (is_full(answer)) {
            finish(answer, FinishReason::length);
            return false;
        }
        const TokenId token = language::choose(logits, options_.sampling, answer.random);
        if (!options_.ignores_end_of_text && is_end_of_text(token)) {
            result.end = token;
            finish(answer, FinishReason::end_of_text);
            return false;
        }
        result.tokens.push_back(token);
        result.logprobs.push_back(language::compute_logprob(logits, token));
        answer.sequence->pending().push_back(token);
        tell(answer, answer.stream.push(token));
        if (answer.stream.is_stopped()) {
            finish(answer, FinishReason::stop_string);
            return false;
        }
        if (is_full(answer)) {
            finish(answer, FinishReason::length);
            return false;
        }
        return true;
    }

    /// The model reads what was chosen.
    void advance() {
        if (answers_.empty()) {
            return;
        }
        std::vector<NetworkState*> states;
        std::vector<TokenId> next;
        for (Answer& answer : answers_) {
            states.push_back(&answer.sequence->state());
            next.push_back(answer.sequence->pending().back());
            answer.sequence->pending().clear();
        }
        const at::Tensor rows =
            generator_.network.advance(to_token_row(next).t(), states).squeeze(1);
        for (std::size_t i = 0; i < answers_.size(); ++i) {
            answers_[i].sequence->last_hidden() =
                rows.narrow(0, static_cast<std::int64_t>(i), 1).clone();
        }
    }

    void finish(Answer& answer, FinishReason reason) {
        tell(answer, answer.stream.finish());
        Generation& result = answer.result;
        result.finish = reason;
        result.text = answer.stream.text();
        result.tokens.resize(answer.stream.tokens_in_text());
        result.logprobs.resize(result.tokens.size());
        results_[answer.index] = std::move(result);
    }

    void tell(const Answer& answer, const std::string& text) const {
        if (options_.on_text && !text.empty()) {
            options_.on_text(answer.index, text);
        }
    }

    bool is_full(const Answer& answer) const {
        return answer.result.tokens.size() >= options_.max_new_tokens ||
               answer.sequence->length() >= generator_.context_length;
    }

    bool is_end_of_text(TokenId token) const {
        return std::ranges::find(generator_.end_of_text, token) != generator_.end_of_text.end();
    }

    const Generator& generator_;
    const language::DecodingOptions& options_;
    std::vector<Answer> answers_;
    std::vector<Generation> results_;
};

}  // namespace

std::vector<Generation> generate(const Generator& generator,
                                 std::span<HybridSequence* const> sequences,
                                 const language::DecodingOptions& options) {
    const at::NoGradGuard no_gradients;
    return SequenceBatch(generator, sequences, options).run();
}

}  // namespace anamnesis::runtime
