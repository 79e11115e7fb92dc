// SPDX-License-Identifier: Apache-2.0
#include "prompt_reading.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/language/sampler.hpp"
#include "anamnesis/language/text_stream.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/token_tensors.hpp"

#include "token_scores.hpp"

namespace anamnesis::serve {
namespace {

/// Rows of logits made at once while scoring: a vocabulary of 150,000 makes 0.6 MB of each.
constexpr std::int64_t score_rows = 64;

}  // namespace

PromptReading::PromptReading(const runtime::HybridModel& model,
                             std::shared_ptr<const ActiveJob> source,
                             std::size_t block,
                             PrefixCache& cache)
    : model_(model), source_(std::move(source)), block_(block) {
    const Job& job = source_->job;
    std::optional<runtime::NetworkState> kept;
    if (job.reuses_prefix && !job.scores_prompt) {
        kept = cache.find(job.cache_salt, job.prompt);
    }
    state_ = kept ? *std::move(kept) : model_.network().make_state();
    done_ = static_cast<std::size_t>(state_.length());
    reused_ = done_;
}

std::size_t PromptReading::read_block(PrefixCache& cache, std::uint64_t most_bytes) {
    const Job& job = source_->job;
    const auto piece = std::span(job.prompt).subspan(done_, std::min(block_, tokens_left()));
    runtime::NetworkState* const state = &state_;
    const at::Tensor ids = runtime::to_token_row(piece);
    const runtime::Network& network = model_.network();
    const at::Tensor hidden =
        (job.scores_prompt ? network.advance(ids, std::span(&state, 1))
                           : network.advance_to_last(ids, std::span(&state, 1)))
            .squeeze(0);
    if (job.scores_prompt) {
        score(hidden);
    }
    last_hidden_ = hidden.narrow(0, hidden.size(0) - 1, 1).clone();
    done_ += piece.size();
    // A prompt that is scored is computed to its end, which rounds the last layers otherwise.
    if (job.reuses_prefix && !job.scores_prompt && done_ % block_ == 0) {
        cache.keep(job.cache_salt, std::span(job.prompt).first(done_), state_, most_bytes);
    }
    return piece.size();
}

void PromptReading::score(const at::Tensor& hidden) {
    const Job& job = source_->job;
    for (std::int64_t first = 0; first < hidden.size(0); first += score_rows) {
        const std::int64_t count = std::min(score_rows, hidden.size(0) - first);
        const runtime::HostLogits logits(model_.network().logits(hidden.narrow(0, first, count)));
        for (std::int64_t i = 0; i < count && scores_.size() + 1 < job.prompt.size(); ++i) {
            scores_.push_back(score_token(logits.row(static_cast<std::size_t>(i)),
                                          job.prompt[scores_.size() + 1],
                                          job.decoding.alternatives));
        }
    }
}

std::vector<Answer> PromptReading::begin_answers() {
    const Job& job = source_->job;
    job.channel->push(PromptRead{
        .prompt_index = job.prompt_index, .reused_tokens = reused_, .scores = std::move(scores_)});
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < job.answers; ++i) {
        const std::size_t index = job.first_answer + i;
        answers.push_back(
            {.source = source_,
             .index = index,
             .state = i + 1 < job.answers ? state_ : std::move(state_),
             .hidden = last_hidden_,
             .random = language::sampling_stream(job.decoding.sampling.seed, index),
             .stream = language::TextStream(model_.tokenizer(),
                                            job.decoding.stop,
                                            job.echoes_prompt ? std::span<const TokenId>(job.prompt)
                                                              : std::span<const TokenId>())});
    }
    return answers;
}

}  // namespace anamnesis::serve
