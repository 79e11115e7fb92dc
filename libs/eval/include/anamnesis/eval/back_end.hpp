// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// What an engine may do with states that it kept of earlier prompts.
enum class CacheUse : std::uint8_t {
    discouraged,  ///< asked not to, where it can be asked
    forbidden,    ///< none is ever found: the prompt is salted
    allowed,
};

/// What a model is asked.
struct Question {
    std::string id{};             ///< unique in a run
    std::string input{};          ///< the prompt, or the user's turn of a chat
    std::string answer_prefix{};  ///< the beginning of the answer, which the model continues
    std::size_t max_new_tokens = 128;
    language::Sampling sampling{};
    std::vector<std::string> stop{};
    /// A continuation whose log-probability is asked for beside; empty: none.
    std::string expected{};
    CacheUse cache = CacheUse::discouraged;
    bool wants_tokens = false;  ///< the answer's tokens and their log-probabilities
};

/// A token of an answer, as far as the engine tells it.
struct AnswerToken {
    std::string text{};
    std::optional<language::TokenId> id{};
    std::optional<double> logprob{};  ///< natural logarithm
    /// Log-probabilities of the likeliest tokens at this place, by their text.
    std::map<std::string, double> alternatives{};
};

/// What it answered.
struct Answer {
    std::string text;
    language::FinishReason finish = language::FinishReason::length;
    std::size_t prompt_tokens = 0;
    std::size_t new_tokens = 0;
    std::optional<double> expected_logprob{};  ///< natural logarithm, of the whole continuation
    double seconds = 0.0;                      ///< from the question to the answer
    bool is_counted = true;                    ///< the engine told how many tokens it read
    /// Tokens of a prompt sent as text that the engine seems not to have read; 0: none.
    std::size_t unread_tokens = 0;
    bool was_echoed = false;            ///< the engine repeated the prompt, which was taken away
    bool was_capped = false;            ///< cut after fewer tokens than it was allowed
    std::string model{};                ///< what the engine says that it answered with
    bool was_all_thinking = false;      ///< a parser of the server's put the whole answer aside
    std::vector<AnswerToken> tokens{};  ///< where they were asked for and told
};

/// Prompt tokens of the answers, and how many of them a model really read.
struct PrefillSaving {
    std::uint64_t prompt_tokens = 0;
    std::uint64_t prefilled_tokens = 0;
};

/// Something that answers questions: a model in this process, or a server.
///
/// Errors: a question that cannot be answered is told to `Take::failed` and has no answer: an error
///         is never scored. What concerns all questions is thrown.
class BackEnd {
public:
    virtual ~BackEnd() = default;

    using Next = std::function<std::optional<Question>()>;
    struct Take {
        std::function<void(const Question&, const Answer&)> answered;
        std::function<void(const Question&, const std::string& reason)> failed;
        /// Questions are not answered for a passing reason, and asked again; told once until the
        /// next answer.
        std::function<void(const std::string& reason)> troubled{};
    };

    /// Answers what `next` gives until it gives nothing, in any order. Callbacks are called by
    /// one thread at a time. After `cancel`, questions under way are dropped.
    virtual void answer(const Next& next, const Take& take, const std::stop_token& cancel) = 0;

    /// The longest prompt and answer together, where it is known.
    virtual std::optional<std::size_t> context_length() const = 0;

    /// What the run's record says of it.
    virtual Json description() const = 0;

    /// Since it was made; nothing where the back end cannot know.
    virtual std::optional<PrefillSaving> saving() const { return std::nullopt; }

    /// What may make answers wrong, a sentence each.
    virtual std::vector<std::string> list_notes() const { return {}; }

    /// The share of the asked concurrency that was in use while questions were waiting.
    virtual std::optional<double> busy_share() const { return std::nullopt; }
};

}  // namespace anamnesis::eval
