// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// An entry of the vocabulary. Negative values never occur in text.
using TokenId = std::int32_t;

/// How the next token is chosen. The defaults are greedy decoding.
struct Sampling {
    double temperature = 0.0;  ///< 0: the likeliest token, the lowest id among equals
    std::uint32_t top_k = 0;   ///< keep the k likeliest; 0: all
    double top_p = 1.0;        ///< then keep the likeliest that reach this mass
    std::uint64_t seed = 0;    ///< sequence i of a batch draws from its own stream of it
};

struct DecodingOptions {
    std::size_t max_new_tokens = 128;
    Sampling sampling{};
    /// One seed for each sequence, whatever batch it is in; empty: streams of `sampling.seed`.
    std::vector<std::uint64_t> seeds{};
    std::vector<std::string> stop{};  ///< texts that end the answer and are not part of it
    bool ignores_end_of_text = false;
    std::stop_token cancel{};
    /// Called as text becomes certain: whole characters, never part of a stop string.
    std::function<void(std::size_t sequence, std::string_view text)> on_text{};
};

enum class FinishReason : std::uint8_t { end_of_text, stop_string, length, cancelled };
std::string_view to_string(FinishReason reason) noexcept;

/// An answer. `tokens` holds what was read as text: neither the end-of-text token nor tokens
/// wholly within a stop string.
struct Generation {
    std::vector<TokenId> tokens;
    std::vector<double> logprobs;  ///< natural logarithm, before temperature; one for each token
    std::string text;
    FinishReason finish = FinishReason::length;
    std::optional<TokenId> end{};  ///< the token that ended it, where one did; not in `tokens`
};

/// One token of a continuation under the model.
struct TokenScore {
    double logprob = 0.0;    ///< natural logarithm
    double logit = 0.0;      ///< before the softmax; a model without logits repeats `logprob`
    bool is_greedy = false;  ///< it is the likeliest token
};

/// What a model has read so far: a token sequence and whatever state the model keeps of it.
/// Belongs to the model that started it, which must outlive it.
class Sequence {
public:
    virtual ~Sequence() = default;

    /// Tokens read.
    virtual std::size_t length() const = 0;
    /// A second continuation of the same prefix; neither sees what the other reads later.
    virtual std::unique_ptr<Sequence> fork() const = 0;
};

/// Told after each piece of a prompt has been read: tokens of this call done so far.
using PrefillProgress = std::function<void(std::size_t tokens_done)>;

/// A causal language model as evaluation, serving and tests see it.
///
/// Threads: one call at a time.
/// Errors:  `usage` for a sequence of another model, an empty sequence where a next token is
///          asked for, a token outside the vocabulary; `exhausted` past `context_length`;
///          `cancelled` from `prefill`.
class LanguageModel {
public:
    virtual ~LanguageModel() = default;

    /// Tokens of `text`; special tokens written out in it are recognised.
    virtual std::vector<TokenId> encode(std::string_view text) const = 0;
    /// The same for a text that a sequence begins with: with what the tokenizer puts around it (a
    /// BOS, say).
    virtual std::vector<TokenId> encode_beginning(std::string_view text) const {
        return encode(text);
    }
    /// Text of `tokens`, special tokens left out.
    virtual std::string decode(std::span<const TokenId> tokens) const = 0;

    /// The longest sequence the model accepts.
    virtual std::size_t context_length() const = 0;

    /// The tokens of which each ends an answer; empty where the model does not tell.
    virtual std::vector<TokenId> end_of_text() const { return {}; }

    /// An empty sequence.
    virtual std::unique_ptr<Sequence> start() = 0;

    /// Reads `tokens` at the end of `sequence`.
    virtual void prefill(Sequence& sequence,
                         std::span<const TokenId> tokens,
                         const PrefillProgress& progress = {},
                         const std::stop_token& cancel = {}) = 0;

    /// Continues each sequence, all of them in step; each has read at least one token and reads
    /// what is generated. One result per sequence, in order. Every sequence ends by itself; after
    /// `cancel` all end with what they have.
    virtual std::vector<Generation> generate(std::span<Sequence* const> sequences,
                                             const DecodingOptions& options) = 0;

    /// How likely `continuation` is after `sequence`, token by token; the sequence stays as it is.
    virtual std::vector<TokenScore> score(const Sequence& sequence,
                                          std::span<const TokenId> continuation) = 0;
};

}  // namespace anamnesis::language
