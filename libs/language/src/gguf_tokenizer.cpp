// SPDX-License-Identifier: Apache-2.0
#include "gguf_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/language/utf8.hpp"

#include "gguf_pre_tokenizers.hpp"
#include "piece_merges.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";

/// `tokenizer.ggml.token_type`.
enum class TokenType : std::uint64_t { normal = 1, unknown = 2, control = 3, user_defined = 4 };

class Reader {
public:
    explicit Reader(const formats::GgufMetadata& metadata) : metadata_(metadata) {}

    TokenizerFile read() {
        const std::string kind = metadata_.find_string("tokenizer.ggml.model").value_or("none");
        if (kind == "none" || kind == "no_vocab") {
            throw Error(ErrorKind::not_found, "the GGUF file holds no tokenizer");
        }
        if (kind != "gpt2" && kind != "llama") {
            refuse_feature("a GGUF file with a tokenizer of the kind", kind);
        }
        read_tokens();
        kind == "gpt2" ? read_byte_level() : read_sentence_piece();
        add_special("tokenizer.ggml.add_bos_token",
                    "tokenizer.ggml.bos_token_id",
                    kind == "llama" || adds_bos_,
                    file_.before);
        add_special(
            "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", false, file_.after);
        return std::move(file_);
    }

private:
    std::vector<std::string> require_texts(std::string_view key) const {
        auto texts = metadata_.find_strings(key);
        if (!texts) {
            throw Error(ErrorKind::malformed, format("the GGUF file has no key '{}'", key));
        }
        return *std::move(texts);
    }

    void read_tokens() {
        tokens_ = require_texts("tokenizer.ggml.tokens");
        types_ = metadata_.find_counts("tokenizer.ggml.token_type")
                     .value_or(std::vector<std::uint64_t>(tokens_.size(), 1));
        if (types_.size() != tokens_.size()) {
            throw Error(ErrorKind::malformed,
                        format("the GGUF file has {} tokens and {} types of them",
                               tokens_.size(),
                               types_.size()));
        }
        for (std::size_t id = 0; id < tokens_.size(); ++id) {
            // Padding of the vocabulary may repeat a text: the first one is meant.
            if (file_.vocabulary.find(tokens_[id])) {
                continue;
            }
            file_.vocabulary.add(tokens_[id], id);
            const TokenType type{types_[id]};
            if (type == TokenType::control || type == TokenType::user_defined) {
                file_.added.push_back({.id = static_cast<TokenId>(id),
                                       .content = tokens_[id],
                                       .is_special = type == TokenType::control});
            }
            if (type == TokenType::unknown) {
                file_.byte_pair.unknown = static_cast<TokenId>(id);
            }
        }
    }

    TokenId find_part(std::string_view part, std::size_t merge) const {
        const auto id = file_.vocabulary.find(part);
        if (!id) {
            throw Error(ErrorKind::malformed,
                        format("merge {} of the GGUF file needs {}, which is no token",
                               merge,
                               in_quotes(part)));
        }
        return *id;
    }

    void read_byte_level() {
        const auto name = metadata_.find_string("tokenizer.ggml.pre");
        if (!name || *name == "default") {
            file_.notes.emplace_back(
                "the GGUF file does not say how its tokenizer cuts texts (tokenizer.ggml.pre): "
                "they are cut as llama.cpp does then; --tokenizer takes the model's own");
        }
        GgufPreTokenizer cutting = find_gguf_pre_tokenizer(name.value_or("default"));
        adds_bos_ = cutting.adds_bos;
        file_.stages = std::move(cutting.stages);
        file_.stages.push_back({.kind = SplitStage::Kind::spell_bytes});
        file_.byte_pair.is_byte_level = true;
        file_.byte_pair.unknown = -1;
        file_.byte_pair.ignores_merges = cutting.ignores_merges;
        const std::vector<std::string> merges = require_texts("tokenizer.ggml.merges");
        file_.merges.reserve(merges.size());
        for (std::size_t i = 0; i < merges.size(); ++i) {
            // The first character of the left part may be a space's spelling, never a space.
            const std::size_t space = merges[i].find(' ', 1);
            if (space == std::string::npos) {
                throw Error(ErrorKind::malformed,
                            format("merge {} of the GGUF file is {}, which is no pair",
                                   i,
                                   in_quotes(merges[i])));
            }
            const std::string_view pair = merges[i];
            const std::string_view left = pair.substr(0, space);
            const std::string_view right = pair.substr(space + 1);
            file_.merges.set(find_part(left, i),
                             find_part(right, i),
                             static_cast<std::uint32_t>(i),
                             find_part(std::string(left) + std::string(right), i));
        }
    }

    /// SentencePiece merges whatever makes a token, the likeliest token first.
    void read_sentence_piece() {
        const auto scores = metadata_.find_numbers("tokenizer.ggml.scores");
        if (!scores || scores->size() != tokens_.size()) {
            throw Error(ErrorKind::malformed, "the GGUF file has no score for each token");
        }
        std::vector<TokenId> pieces;
        std::vector<double> piece_scores;
        for (std::size_t id = 0; id < tokens_.size(); ++id) {
            const TokenType type{types_[id]};
            // A text that is there twice is the first one.
            const bool is_text = type == TokenType::normal || type == TokenType::user_defined;
            if (is_text && is_utf8(tokens_[id]) &&
                file_.vocabulary.find(tokens_[id]) == static_cast<TokenId>(id)) {
                pieces.push_back(static_cast<TokenId>(id));
                piece_scores.push_back((*scores)[id]);
            }
        }
        const std::vector<bool> halves(file_.vocabulary.id_limit(), true);
        file_.merges =
            make_piece_merges(file_.vocabulary, rank_by_score(pieces, piece_scores), halves);
        file_.byte_pair.is_byte_level = false;
        file_.byte_pair.falls_back = true;
        file_.byte_pair.fuses_unknown = true;
        if (metadata_.find_flag("tokenizer.ggml.add_space_prefix").value_or(true)) {
            file_.normaliser.push_back(
                {.kind = Rewrite::Kind::prepend, .to = std::string(space_mark)});
            file_.joining.stripped = " ";
            file_.joining.most_stripped = 1;
        }
        file_.normaliser.push_back(
            {.kind = Rewrite::Kind::replace, .from = " ", .to = std::string(space_mark)});
        file_.token_rewrites.push_back(
            {.kind = Rewrite::Kind::replace, .from = std::string(space_mark), .to = " "});
        file_.joining.has_byte_runs = true;
    }

    void add_special(std::string_view flag,
                     std::string_view key,
                     bool otherwise,
                     std::vector<TokenId>& tokens) const {
        const auto id = metadata_.find_count(key);
        if (metadata_.find_flag(flag).value_or(otherwise) && id) {
            if (*id >= tokens_.size()) {
                throw Error(
                    ErrorKind::malformed,
                    format("'{}' of the GGUF file is {}, outside the vocabulary", key, *id));
            }
            tokens.push_back(static_cast<TokenId>(*id));
        }
    }

    const formats::GgufMetadata& metadata_;
    TokenizerFile file_{};
    std::vector<std::string> tokens_{};
    std::vector<std::uint64_t> types_{};
    bool adds_bos_ = false;
};

}  // namespace

TokenizerFile read_gguf_tokenizer(const std::filesystem::path& path) {
    return in_context(
        [&] { return format("reading the tokenizer of {}", in_quotes(path.string(), 1000)); },
        [&] { return Reader(formats::open_gguf(path).metadata).read(); });
}

Json read_gguf_tokenizer_config(const std::filesystem::path& path) {
    const formats::GgufFile file = formats::open_gguf(path);
    Json config = Json::object();
    if (const auto text = file.metadata.find_string("tokenizer.chat_template")) {
        config.set("chat_template", *text);
    }
    const auto tokens = file.metadata.find_strings("tokenizer.ggml.tokens");
    for (const auto& [name, key] : {std::pair("bos_token", "tokenizer.ggml.bos_token_id"),
                                    std::pair("eos_token", "tokenizer.ggml.eos_token_id")}) {
        const auto id = file.metadata.find_count(key);
        if (id && tokens && *id < tokens->size()) {
            config.set(name, (*tokens)[*id]);
        }
    }
    return config;
}

}  // namespace anamnesis::language
