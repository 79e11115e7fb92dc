// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// A language model whose answers a function gives: for tests of what builds on models. Its tokens
/// are the bytes 0..255 and an end of text, 256. Sampling options change nothing; every token it
/// expects has logprob log 0.9, any other log(0.1 / 256).
class ScriptedModel final : public LanguageModel {
public:
    static constexpr TokenId end_token = 256;

    /// The answer to all text read before the answer began.
    using Script = std::function<std::string(std::string_view prompt)>;

    explicit ScriptedModel(Script script, std::size_t context_length = 1U << 20U);

    std::vector<TokenId> encode(std::string_view text) const override;
    std::string decode(std::span<const TokenId> tokens) const override;
    std::size_t context_length() const override { return context_length_; }
    std::vector<TokenId> end_of_text() const override { return {end_token}; }
    std::unique_ptr<Sequence> start() override;
    void prefill(Sequence& sequence,
                 std::span<const TokenId> tokens,
                 const PrefillProgress& progress,
                 const std::stop_token& cancel) override;
    std::vector<Generation> generate(std::span<Sequence* const> sequences,
                                     const DecodingOptions& options) override;
    std::vector<TokenScore> score(const Sequence& sequence,
                                  std::span<const TokenId> continuation) override;

private:
    Script script_;
    std::size_t context_length_;
};

}  // namespace anamnesis::language
