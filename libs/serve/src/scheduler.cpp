// SPDX-License-Identifier: Apache-2.0
#include "scheduler.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <list>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/token_tensors.hpp"

namespace anamnesis::serve {
namespace {

constexpr std::uint64_t page_tokens = runtime::cache_page_tokens;

/// Runs what concerns `jobs`; whatever it throws ends them and nothing else.
template <class Run, class Fail>
void contain(const Run& run, const Fail& fail) {
    try {
        runtime::convert_torch_errors(run);
    } catch (const Error& error) {
        fail(error);
    } catch (const std::bad_alloc&) {
        fail(Error(ErrorKind::exhausted, "there is no memory left for this request"));
    } catch (const std::exception& error) {
        fail(Error(ErrorKind::internal, error.what()));
    }
}

}  // namespace

Scheduler::Scheduler(const runtime::HybridModel& model,
                     const SchedulerOptions& options,
                     ModelMetrics& metrics)
    : model_(model), options_(options), metrics_(metrics), prefixes_(options.block) {
    runtime::convert_torch_errors([&] {
        runtime::NetworkState state = model_.network().make_state();
        runtime::NetworkState* const pointer = &state;
        const TokenId token = 0;
        model_.network().advance(runtime::to_token_row(std::span(&token, 1)),
                                 std::span(&pointer, 1));
        for (const runtime::HeldMemory& held : state.list_memory()) {
            (held.is_page ? page_bytes_ : fixed_bytes_) += static_cast<std::uint64_t>(held.bytes);
        }
    });
}

std::uint64_t Scheduler::estimate_bytes(const Job& job) const {
    const std::uint64_t shared = job.prompt.size() / page_tokens;
    const std::uint64_t longest = job.prompt.size() + job.decoding.max_new_tokens;
    const std::uint64_t own = (longest + page_tokens - 1) / page_tokens - shared;
    return shared * page_bytes_ + job.answers * (fixed_bytes_ + own * page_bytes_);
}

void Scheduler::shorten(Job& job) const {
    if (!job.decoding.is_open_ended || page_bytes_ == 0 || job.answers == 0) {
        return;
    }
    const std::uint64_t shared = job.prompt.size() / page_tokens;
    const std::uint64_t taken = shared * page_bytes_ + job.answers * fixed_bytes_;
    const std::uint64_t left = options_.state_bytes - std::min(taken, options_.state_bytes);
    const std::uint64_t pages =
        std::min(left, options_.state_bytes / 4) / (job.answers * page_bytes_);
    const std::uint64_t begun = job.prompt.size() % page_tokens;
    const std::uint64_t tokens = std::max<std::uint64_t>(pages * page_tokens, begun + 1) - begun;
    job.decoding.max_new_tokens = std::min<std::uint64_t>(job.decoding.max_new_tokens, tokens);
}

void Scheduler::check(const Job& job) const {
    if (job.answers > options_.sequences) {
        throw Error(ErrorKind::usage,
                    format("{} answers to one prompt are asked for by 'n'; at most {} are made at "
                           "once (--max-sequences of the server)",
                           job.answers,
                           options_.sequences));
    }
    const std::uint64_t bytes = estimate_bytes(job);
    if (bytes > options_.state_bytes) {
        throw Error(
            ErrorKind::usage,
            format("{} prompt tokens and {} answers of up to {} tokens need {} of caches and "
                   "states; there are {} for this model",
                   job.prompt.size(),
                   job.answers,
                   job.decoding.max_new_tokens,
                   human_bytes(bytes),
                   human_bytes(options_.state_bytes)));
    }
}

void Scheduler::add(Job job) {
    waiting_.push_back(std::move(job));
}

bool Scheduler::step() {
    const at::NoGradGuard no_gradients;
    drop_cancelled();
    admit();
    read();
    decode();
    tell_metrics();
    return !waiting_.empty() || !readings_.empty() || !answers_.empty();
}

void Scheduler::drop_cancelled() {
    const auto cancelled =
        std::erase_if(waiting_, [](const Job& one) { return one.channel->is_closed(); });
    metrics_.prompts_waiting -= cancelled;
    readings_.remove_if([&](const PromptReading& one) {
        if (one.source().is_cancelled()) {
            metrics_.count_answer(language::FinishReason::cancelled);
            return true;
        }
        return false;
    });
    answers_.remove_if([&](const Answer& one) {
        if (!one.has_ended && one.source->is_cancelled()) {
            metrics_.count_answer(language::FinishReason::cancelled);
            return true;
        }
        return one.has_ended;
    });
}

void Scheduler::admit() {
    while (!waiting_.empty()) {
        Job& next = waiting_.front();
        const std::uint64_t bytes = estimate_bytes(next);
        if (count_sequences() + next.answers > options_.sequences ||
            reserved_ + bytes > options_.state_bytes) {
            return;
        }
        const auto channel = next.channel;
        contain(
            [&] {
                auto source = std::make_shared<const ActiveJob>(std::move(next), reserved_, bytes);
                readings_.emplace_back(model_, std::move(source), options_.block, prefixes_);
            },
            [&](const Error& error) { channel->fail(error); });
        waiting_.pop_front();
        --metrics_.prompts_waiting;
        prefixes_.shrink(bytes_for_prefixes());
    }
}

std::list<PromptReading>::iterator Scheduler::choose_reading() {
    // The oldest and the one that is soonest done take turns: short prompts need not wait for a
    // long one, and a long one comes to its end.
    if (std::exchange(is_turn_of_oldest_, !is_turn_of_oldest_)) {
        return readings_.begin();
    }
    return std::ranges::min_element(readings_, {}, &PromptReading::tokens_left);
}

void Scheduler::read() {
    std::size_t tokens = 0;
    do {
        if (readings_.empty()) {
            return;
        }
        tokens += read_block();
        // Without answers that wait for it, a prompt that has just come may be next.
    } while (!answers_.empty() && tokens + options_.block <= options_.prompt_tokens);
}

std::size_t Scheduler::read_block() {
    const auto reading = choose_reading();
    std::size_t tokens = 0;
    contain(
        [&] {
            tokens = reading->read_block(prefixes_, bytes_for_prefixes());
            if (reading->tokens_left() == 0) {
                metrics_.prompt_tokens += reading->source().job.prompt.size();
                metrics_.reused_tokens += reading->reused_tokens();
                std::ranges::move(reading->begin_answers(), std::back_inserter(answers_));
                readings_.erase(reading);
            }
        },
        [&](const Error& error) {
            reading->source().job.channel->fail(error);
            readings_.erase(reading);
        });
    return tokens;
}

void Scheduler::decode() {
    std::vector<Answer*> all;
    for (Answer& answer : answers_) {
        all.push_back(&answer);
    }
    for (std::size_t first = 0; first < all.size(); first += answers_per_step) {
        const auto group =
            std::span(all).subspan(first, std::min(answers_per_step, all.size() - first));
        contain([&] { decode_step(model_, group, metrics_); },
                [&](const Error& error) {
                    for (Answer* answer : group) {
                        answer->source->job.channel->fail(error);
                        answer->has_ended = true;
                    }
                });
    }
    answers_.remove_if([](const Answer& answer) { return answer.has_ended; });
}

void Scheduler::fail_all(const Error& error) {
    for (const Job& one : waiting_) {
        one.channel->fail(error);
    }
    for (const PromptReading& one : readings_) {
        one.source().job.channel->fail(error);
    }
    for (const Answer& one : answers_) {
        one.source->job.channel->fail(error);
    }
    metrics_.prompts_waiting -= waiting_.size();
    waiting_.clear();
    readings_.clear();
    answers_.clear();
    tell_metrics();
}

std::size_t Scheduler::count_sequences() const {
    std::size_t count = answers_.size();
    for (const PromptReading& reading : readings_) {
        count += reading.source().job.answers;
    }
    return count;
}

std::uint64_t Scheduler::bytes_for_prefixes() const {
    return options_.state_bytes - std::min(reserved_, options_.state_bytes);
}

void Scheduler::tell_metrics() {
    metrics_.prompts_reading = readings_.size();
    metrics_.answers_running = answers_.size();
    metrics_.reserved_bytes = reserved_;
    metrics_.kept_bytes = prefixes_.bytes();
    metrics_.kept_states = prefixes_.size();
    metrics_.evictions = prefixes_.evictions();
}

}  // namespace anamnesis::serve
