// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/random.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "channel.hpp"
#include "job.hpp"
#include "scheduler.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::serve {

/// Softmax attention alone, lightning attention with it, Mamba-2, RG-LRU.
inline constexpr const char* served_families[] = {
    "qwen3_base", "hypenet_base", "bamba_hub_config", "recurrent_gemma_odd", "lfm2_moe_odd"};

/// Tokens of a block in the tests.
inline constexpr std::size_t tiny_block = 16;

/// A golden model with a tokenizer, loaded from a folder of its own.
class TinyModel {
public:
    explicit TinyModel(const std::string& name) {
        testing::write_tiny_model(folder_, name);
        const auto files = checkpoint::Checkpoint::open(folder_.path());
        model_ = runtime::HybridModel::load(
            files, checkpoint::recognise(files), {.prefill_chunk = tiny_block});
    }
    runtime::HybridModel& operator*() const { return *model_; }
    runtime::HybridModel* operator->() const { return model_.get(); }
    std::unique_ptr<runtime::HybridModel> take() { return std::move(model_); }

private:
    testing::TemporaryFolder folder_;
    std::unique_ptr<runtime::HybridModel> model_;
};

inline std::vector<TokenId> random_tokens(std::size_t count, std::uint64_t seed) {
    Random random(seed);
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < count; ++i) {
        tokens.push_back(static_cast<TokenId>(random.below(400)));
    }
    return tokens;
}

inline Job make_job(std::vector<TokenId> prompt, std::size_t max_new_tokens = 12) {
    Job job{.prompt = std::move(prompt), .channel = std::make_shared<Channel>()};
    job.decoding = {.max_new_tokens = max_new_tokens,
                    .ignores_end_of_text = true,
                    .scores_tokens = true,
                    .alternatives = 2};
    return job;
}

/// What came of a job.
struct Outcome {
    std::size_t reused = 0;
    std::vector<ScoredToken> prompt{};
    std::vector<std::vector<TokenId>> tokens{};
    std::vector<std::vector<double>> logprobs{};
    std::vector<AnswerEnded> ends{};
    std::optional<Error> error{};
};

inline Outcome read_outcome(const Job& job) {
    Outcome outcome{.tokens = std::vector<std::vector<TokenId>>(job.answers),
                    .logprobs = std::vector<std::vector<double>>(job.answers)};
    while (std::optional<Event> event = job.channel->pop(std::chrono::milliseconds(0))) {
        if (const auto* read = std::get_if<PromptRead>(&*event)) {
            outcome.reused = read->reused_tokens;
            outcome.prompt = read->scores;
        } else if (const auto* chosen = std::get_if<TokenChosen>(&*event)) {
            outcome.tokens[chosen->answer - job.first_answer].push_back(chosen->scored.token);
            outcome.logprobs[chosen->answer - job.first_answer].push_back(chosen->scored.logprob);
        } else if (const auto* end = std::get_if<AnswerEnded>(&*event)) {
            outcome.ends.push_back(*end);
        } else {
            outcome.error = std::get<RequestFailed>(*event).error;
        }
    }
    return outcome;
}

/// A scheduler of a model, and all of a job's answers by it.
class TinyScheduler {
public:
    explicit TinyScheduler(const runtime::HybridModel& model,
                           SchedulerOptions options = {.block = tiny_block,
                                                       .prompt_tokens = tiny_block,
                                                       .state_bytes = std::uint64_t{1} << 30U})
        : scheduler_(model, options, metrics_) {}

    Scheduler& operator*() { return scheduler_; }
    Scheduler* operator->() { return &scheduler_; }
    const ModelMetrics& metrics() const { return metrics_; }

    void add(const Job& job) {
        scheduler_.check(job);
        ++metrics_.prompts_waiting;
        scheduler_.add(job);
    }
    Outcome run(const Job& job) {
        add(job);
        finish();
        return read_outcome(job);
    }
    void finish() {
        while (scheduler_.step()) {
        }
    }

private:
    ModelMetrics metrics_;
    Scheduler scheduler_;
};

}  // namespace anamnesis::serve
