// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/transport_trial.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// Whether an engine gave the answer of this process.
enum class Agreement : std::uint8_t {
    equal,
    near_tie,  ///< the first token that differs is as likely as ours, within `near_tie_margin`
    different,
};
inline constexpr std::array<Word<Agreement>, 3> agreement_words{{
    {Agreement::equal, "equal"},
    {Agreement::near_tie, "near tie"},
    {Agreement::different, "different"},
}};

/// The largest gap of two logits that rounding may turn over: two steps of bfloat16 at the larger
/// of them (8 bits of significand: 2^-7 of its power of two), one for each engine; 2^-6 at least.
double near_tie_margin(double logit);

/// A token where two answers part, under the model of this process.
struct ComparedToken {
    std::string text{};                      ///< empty: the end of the answer
    std::optional<language::TokenId> id{};   ///< absent where the model names no end of text
    std::optional<double> logit{};           ///< absent with the id
    std::optional<double> logprob{};         ///< natural logarithm
    std::optional<double> engine_logprob{};  ///< the engine's own, where it tells
};

struct ComparedAnswer {
    std::string id{};
    std::size_t prompt_tokens = 0;
    std::size_t equal_tokens = 0;  ///< of the answer, before the two part or end
    Agreement agreement = Agreement::equal;
    ComparedToken ours{};  ///< where they part
    ComparedToken engines{};
};

struct EngineComparison {
    Json engine{};  ///< its description
    std::vector<ComparedAnswer> answers{};
    std::vector<std::string> notes{};

    std::size_t count(Agreement agreement) const;
};

/// Asks `engine` every question, lets `ours` answer the same prompt greedily, and looks at the
/// first token that differs. After it the two read different texts, so nothing later is compared.
/// An engine that tells no token ids is compared by its text.
///
/// Errors: `io` where the engine has no answer; `cancelled` after a stop; those of the model.
EngineComparison compare_engine(BackEnd& engine,
                                language::LanguageModel& ours,
                                const language::Tokenizer& tokenizer,
                                const PromptForm& form,
                                const std::vector<Question>& questions,
                                const Watch& watch);

/// A server and this process, on the same prompts.
struct CompareJob {
    EndpointOptions endpoint{};
    TransportChoice transport = TransportChoice::automatic;
    std::vector<std::string> prompts{};  ///< as they are; without any
    HaystackPlan haystack{};             ///< needles in haystacks
    std::size_t max_new_tokens = 64;     ///< of each answer
};

/// Errors: those of `find_transport` and `compare_engine`; `usage` for a server that takes chats
///         alone where no chat template is given.
EngineComparison run_compare(const CompareJob& job,
                             language::LanguageModel& ours,
                             const language::Tokenizer& tokenizer,
                             const Watch& watch);

Json to_json(const EngineComparison& comparison);
/// A table for a terminal.
std::string to_text(const EngineComparison& comparison);

}  // namespace anamnesis::eval
