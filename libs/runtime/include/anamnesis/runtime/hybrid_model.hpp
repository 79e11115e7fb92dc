// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::runtime {

class Network;

struct LoadOptions {
    /// Of matrices: F32, BF16, F16; F64 computes everything in float64. Absent: as stored.
    std::optional<DType> dtype{};
    std::optional<DType> cache_dtype{};  ///< of keys and values; absent: as the embedding
    std::string device = "cpu";          ///< "cpu", "cuda" or "cuda:N"
    unsigned threads = 0;                ///< 0: every core this process may use
    std::size_t prefill_chunk = 1024;    ///< tokens of a prompt read at once
    /// Without a dtype, block-quantised matrices stay so where the CPU multiplies them
    /// (`NetworkOptions::keeps_packed`). A `HybridModel` always keeps them.
    bool keeps_packed = false;
    /// Replaces the config's `attn_logits_scaling` (HypeNet): "none", a number, "hype A".
    std::optional<std::string> length_scaling{};
    /// Replaces `max_position_embeddings`.
    std::optional<std::size_t> context_length{};
    /// Where the tokenizer is, if not beside the weights.
    std::optional<std::filesystem::path> tokenizer{};
};

/// Token ids whose logits are asked for, as one text or several of one length.
struct LogitsRequest {
    std::span<const std::int64_t> ids{};  ///< [batch, length], row-major
    std::size_t batch = 1;
    std::size_t chunk = 0;  ///< tokens at a time through caches and states; 0: the text at once
    bool wants_hidden_states = false;
};

/// One array of a result, row-major.
struct NamedArray {
    std::string name;
    Shape shape;
    std::vector<float> values{};
};

/// A checkpoint that runs.
///
/// Errors: as `language::LanguageModel`; text needs a tokenizer (`not_found`, naming the folder).
class HybridModel final : public language::LanguageModel {
public:
    /// Errors: those of `describe` and `Network::load`; `unsupported` for a device that is not
    /// there.
    static std::unique_ptr<HybridModel> load(const checkpoint::Checkpoint& checkpoint,
                                             const checkpoint::Model& model,
                                             LoadOptions options);

    /// A model over a network that its owner goes on changing, a trainer say: it reads the weights
    /// where they are and copies none. The tokenizer is the one of the checkpoint that the network
    /// came from. A sequence belongs to the weights that it was read with; after a change of them
    /// start another one. The network must outlive the model.
    static std::unique_ptr<HybridModel> borrow(const Network& network,
                                               const checkpoint::Checkpoint& checkpoint,
                                               std::size_t prefill_chunk);

    ~HybridModel() override;

    /// What a server asks that keeps sequences of its own.
    const Network& network() const& noexcept;
    /// Errors: `not_found` where there is none.
    const language::Tokenizer& tokenizer() const&;

    std::vector<language::TokenId> encode(std::string_view text) const override;
    std::vector<language::TokenId> encode_beginning(std::string_view text) const override;
    std::string decode(std::span<const language::TokenId> tokens) const override;
    std::size_t context_length() const override;
    std::vector<language::TokenId> end_of_text() const override;
    std::unique_ptr<language::Sequence> start() override;
    void prefill(language::Sequence& sequence,
                 std::span<const language::TokenId> tokens,
                 const language::PrefillProgress& progress,
                 const std::stop_token& cancel) override;
    std::vector<language::Generation> generate(std::span<language::Sequence* const> sequences,
                                               const language::DecodingOptions& options) override;
    std::vector<language::TokenScore> score(
        const language::Sequence& sequence,
        std::span<const language::TokenId> continuation) override;

    /// `logits` [B, T, V] and, where asked for, `hidden_states.i` [B, T, d]: 0 the embedding,
    /// i the residual stream after layer i - 1.
    std::vector<NamedArray> logits(const LogitsRequest& request);

private:
    struct Parts;
    explicit HybridModel(std::unique_ptr<Parts> parts);

    std::unique_ptr<Parts> parts_;
};

}  // namespace anamnesis::runtime
