// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/hybrid_model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/grad_mode.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/sampler.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/token_tensors.hpp"

#include "generation.hpp"
#include "hybrid_sequence.hpp"
#include "logits_run.hpp"

namespace anamnesis::runtime {
namespace {

using language::Generation;
using language::Sequence;
using language::TokenId;
using language::TokenScore;

/// Of which tokens hidden states are asked for.
enum class Wanted : std::uint8_t { all, last };

/// Rows of logits made at once while scoring: a vocabulary of 150,000 makes 0.6 MB of each.
constexpr std::int64_t score_rows = 64;

std::optional<at::ScalarType> to_optional_scalar_type(const std::optional<DType>& dtype) {
    return dtype ? std::optional(to_scalar_type(*dtype)) : std::nullopt;
}

void replace_length_scaling(ModelSpec& spec, const std::string& word) {
    const std::optional<checkpoint::LengthScaling> scaling =
        in_context([] { return std::string("reading --attn-logits-scaling"); },
                   [&] { return checkpoint::parse_length_scaling(word); });
    for (LayerSpec& layer : spec.layers) {
        if (AttentionSpec* attention = find_attention(layer.mixer)) {
            attention->scaling = scaling;
        }
    }
}

/// The folder of a checkpoint, or its GGUF file, which has a tokenizer within.
std::filesystem::path find_tokenizer(const checkpoint::Checkpoint& checkpoint) {
    const bool is_gguf =
        !checkpoint.files().empty() && checkpoint.files().front().path().extension() == ".gguf";
    return is_gguf ? checkpoint.files().front().path() : checkpoint.folder();
}

}  // namespace

struct HybridModel::Parts {
    std::unique_ptr<const Network> owned;  ///< null where the network is someone else's
    const Network& network;
    std::filesystem::path folder;
    std::optional<language::Tokenizer> tokenizer{};
    std::optional<Error> refusal{};  ///< where there is no tokenizer
    std::vector<TokenId> end_of_text;
    std::size_t context_length = 0;
    std::int64_t prefill_chunk = 0;

    /// Work on token ids needs none: what nobody named and is not there, or is not understood, is
    /// refused when it is asked for.
    void open_tokenizer(bool is_named) {
        if (!is_named && !language::Tokenizer::is_in(folder)) {
            refusal = Error(ErrorKind::not_found,
                            format("no tokenizer (tokenizer.json, vocab.json with merges.txt, "
                                   "tokenizer.model, tiktoken.model or tekken.json) in {}; name a "
                                   "folder that has one with --tokenizer",
                                   folder.string()));
            return;
        }
        try {
            tokenizer = language::Tokenizer::open(folder);
        } catch (const Error& error) {
            using enum ErrorKind;
            if (is_named || (error.kind() != not_found && error.kind() != unsupported)) {
                throw;
            }
            refusal = error;
        }
    }

    const language::Tokenizer& tokens() const {
        if (!tokenizer) {
            throw Error(*refusal);
        }
        return *tokenizer;
    }

    void check(const auto& ids) const {
        for (const std::int64_t id : ids) {
            if (id < 0 || id >= std::int64_t{network.spec().vocabulary_size}) {
                throw Error(ErrorKind::usage,
                            format("token id {} is outside the vocabulary of {}",
                                   id,
                                   network.spec().vocabulary_size));
            }
        }
    }

    void check_room(std::size_t length) const {
        if (length > context_length) {
            throw Error(ErrorKind::exhausted,
                        format("{} tokens, the model's context is {} (--context-length overrides)",
                               length,
                               context_length));
        }
    }

    HybridSequence& own(Sequence& sequence) const {
        auto* own = dynamic_cast<HybridSequence*>(&sequence);
        if (own == nullptr || own->owner() != this) {
            throw Error(ErrorKind::usage, "the sequence belongs to another model");
        }
        return *own;
    }

    /// Reads tokens in pieces; each piece's hidden states, all or the last, go to `use`.
    template <class Use>
    void read(HybridSequence& sequence,
              std::span<const TokenId> tokens,
              Wanted wanted,
              const Use& use) const {
        NetworkState* const state = &sequence.state();
        const auto chunk = static_cast<std::size_t>(prefill_chunk);
        for (std::size_t done = 0; done < tokens.size();) {
            const auto piece = tokens.subspan(done, std::min(chunk, tokens.size() - done));
            const at::Tensor ids = to_token_row(piece);
            const at::Tensor hidden =
                (wanted == Wanted::all ? network.advance(ids, std::span(&state, 1))
                                       : network.advance_to_last(ids, std::span(&state, 1)))
                    .squeeze(0);
            done += piece.size();
            sequence.last_hidden() = hidden.narrow(0, hidden.size(0) - 1, 1).clone();
            use(hidden, done);
        }
    }

    void read_pending(HybridSequence& sequence) const {
        const std::vector<TokenId> pending = std::exchange(sequence.pending(), {});
        read(sequence, pending, Wanted::last, [](const at::Tensor& /*hidden*/, std::size_t) {});
    }

    /// Checked to have a next token.
    HybridSequence& started(Sequence& sequence) const {
        HybridSequence& checked = own(sequence);
        read_pending(checked);
        if (!checked.last_hidden().defined()) {
            throw Error(ErrorKind::usage, "an empty sequence has no next token");
        }
        return checked;
    }
};

HybridModel::HybridModel(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
HybridModel::~HybridModel() = default;

Network load_network(const checkpoint::Checkpoint& checkpoint,
                     const checkpoint::Model& model,
                     const LoadOptions& options,
                     const std::map<std::string, at::Tensor>& replacements,
                     const AdapterChoice& adapters) {
    if (checkpoint.gguf()) {
        const checkpoint::RecognisedCheckpoint view = checkpoint::view_for_running(checkpoint);
        return load_network(view.checkpoint, view.model, options, replacements, adapters);
    }
    return convert_torch_errors([&] {
        use_threads(options.threads);
        ModelSpec spec = describe(checkpoint, model);
        if (options.length_scaling) {
            replace_length_scaling(spec, *options.length_scaling);
        }
        return Network::load(checkpoint,
                             std::move(spec),
                             {.weight_type = to_optional_scalar_type(options.dtype),
                              .cache_type = to_optional_scalar_type(options.cache_dtype),
                              .device = parse_device(options.device),
                              .replacements = replacements,
                              .adapters = adapters,
                              .keeps_packed = options.keeps_packed && !options.dtype});
    });
}

std::unique_ptr<HybridModel> HybridModel::load(const checkpoint::Checkpoint& checkpoint,
                                               const checkpoint::Model& model,
                                               LoadOptions options) {
    return convert_torch_errors([&] {
        options.keeps_packed = true;
        auto network = std::make_unique<const Network>(load_network(checkpoint, model, options));
        const Network& loaded = *network;
        const Json config =
            checkpoint.gguf() ? checkpoint::make_running_config(checkpoint) : checkpoint.config();
        auto parts = std::make_unique<Parts>(
            Parts{.owned = std::move(network),
                  .network = loaded,
                  .folder = options.tokenizer.value_or(find_tokenizer(checkpoint)),
                  .end_of_text = language::end_of_text_tokens(checkpoint.folder(), config),
                  .context_length = options.context_length.value_or(loaded.spec().context_length),
                  .prefill_chunk =
                      static_cast<std::int64_t>(std::max<std::size_t>(options.prefill_chunk, 1))});
        parts->open_tokenizer(options.tokenizer.has_value());
        return std::unique_ptr<HybridModel>(new HybridModel(std::move(parts)));
    });
}

std::unique_ptr<HybridModel> HybridModel::borrow(const Network& network,
                                                 const checkpoint::Checkpoint& checkpoint,
                                                 std::size_t prefill_chunk) {
    auto parts = std::make_unique<Parts>(
        Parts{.owned = nullptr,
              .network = network,
              .folder = checkpoint.folder(),
              .end_of_text = language::end_of_text_tokens(checkpoint.folder(), checkpoint.config()),
              .context_length = network.spec().context_length,
              .prefill_chunk = static_cast<std::int64_t>(std::max<std::size_t>(prefill_chunk, 1))});
    parts->open_tokenizer(false);
    return std::unique_ptr<HybridModel>(new HybridModel(std::move(parts)));
}

const Network& HybridModel::network() const& noexcept {
    return parts_->network;
}

const language::Tokenizer& HybridModel::tokenizer() const& {
    return parts_->tokens();
}

std::vector<TokenId> HybridModel::encode(std::string_view text) const {
    return parts_->tokens().encode(text);
}

std::vector<TokenId> HybridModel::encode_beginning(std::string_view text) const {
    return parts_->tokens().encode(text, {.adds_special = true});
}

std::string HybridModel::decode(std::span<const TokenId> tokens) const {
    return parts_->tokens().decode(tokens, language::SpecialTokens::skip);
}

std::size_t HybridModel::context_length() const {
    return parts_->context_length;
}

std::unique_ptr<Sequence> HybridModel::start() {
    return std::make_unique<HybridSequence>(parts_.get(), parts_->network.make_state());
}

void HybridModel::prefill(Sequence& sequence,
                          std::span<const TokenId> tokens,
                          const language::PrefillProgress& progress,
                          const std::stop_token& cancel) {
    convert_torch_errors([&] {
        HybridSequence& own = parts_->own(sequence);
        parts_->check(tokens);
        parts_->check_room(own.length() + tokens.size());
        parts_->read_pending(own);
        const auto tell = [&](const at::Tensor& /*hidden*/, std::size_t done) {
            if (progress) {
                progress(done);
            }
            if (cancel.stop_requested()) {
                throw Error(ErrorKind::cancelled,
                            format("interrupted after {} of {} tokens", done, tokens.size()));
            }
        };
        parts_->read(own, tokens, Wanted::last, tell);
    });
}

std::vector<Generation> HybridModel::generate(std::span<Sequence* const> sequences,
                                              const language::DecodingOptions& options) {
    return convert_torch_errors([&] {
        std::vector<HybridSequence*> started;
        for (Sequence* sequence : sequences) {
            started.push_back(&parts_->started(*sequence));
        }
        return runtime::generate({.network = parts_->network,
                                  .tokenizer = parts_->tokens(),
                                  .end_of_text = parts_->end_of_text,
                                  .context_length = parts_->context_length},
                                 started,
                                 options);
    });
}

std::vector<TokenId> HybridModel::end_of_text() const {
    return parts_->end_of_text;
}

std::vector<TokenScore> HybridModel::score(const Sequence& sequence,
                                           std::span<const TokenId> continuation) {
    return convert_torch_errors([&] {
        const at::NoGradGuard no_gradients;
        parts_->check(continuation);
        const std::unique_ptr<Sequence> copy = sequence.fork();
        HybridSequence& own = parts_->started(*copy);
        parts_->check_room(own.length() + continuation.size());
        std::vector<TokenScore> scores;
        const auto add = [&](const at::Tensor& hidden) {
            for (std::int64_t first = 0; first < hidden.size(0); first += score_rows) {
                const std::int64_t count = std::min(score_rows, hidden.size(0) - first);
                const HostLogits logits(parts_->network.logits(hidden.narrow(0, first, count)));
                for (std::int64_t i = 0; i < count && scores.size() < continuation.size(); ++i) {
                    const auto row = logits.row(static_cast<std::size_t>(i));
                    const TokenId token = continuation[scores.size()];
                    const auto best = std::ranges::max_element(row) - row.begin();
                    scores.push_back({.logprob = language::compute_logprob(row, token),
                                      .logit = row[static_cast<std::size_t>(token)],
                                      .is_greedy = best == token});
                }
            }
        };
        if (continuation.empty()) {
            return scores;
        }
        add(own.last_hidden());
        parts_->read(own,
                     continuation.first(continuation.size() - 1),
                     Wanted::all,
                     [&](const at::Tensor& hidden, std::size_t /*done*/) { add(hidden); });
        return scores;
    });
}

std::vector<NamedArray> HybridModel::logits(const LogitsRequest& request) {
    return convert_torch_errors([&] {
        const at::NoGradGuard no_gradients;
        if (request.batch == 0 || request.ids.empty() || request.ids.size() % request.batch != 0) {
            throw Error(ErrorKind::usage,
                        format("{} token ids do not make {} texts of one length",
                               request.ids.size(),
                               request.batch));
        }
        const std::size_t length = request.ids.size() / request.batch;
        parts_->check_room(length);
        parts_->check(request.ids);
        return run_logits(parts_->network, request);
    });
}

}  // namespace anamnesis::runtime
