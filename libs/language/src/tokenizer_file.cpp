// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "listed_tokens.hpp"
#include "pre_tokenizer.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_json.hpp"
#include "tokenizer_sections.hpp"

namespace anamnesis::language {
namespace {

void take_vocabulary(TokenizerFile& file, const TokenizerJson& json) {
    file.vocabulary.reserve(json.tokens.size() + 1024, json.tokens.texts.size() + 65'536);
    for (std::size_t i = 0; i < json.tokens.size(); ++i) {
        file.vocabulary.add(json.tokens.at(i), json.ids.at(i));
    }
}

/// The token of a name in the model's options; -1 where there is none.
TokenId find_unknown(const TokenizerFile& file, const Json& model) {
    if (!is_set(model, "unk_token")) {
        return -1;
    }
    const std::string& name = model.at("unk_token").as_string("unk_token");
    const std::optional<TokenId> id = file.vocabulary.find(name);
    if (!id) {
        throw Error(ErrorKind::malformed,
                    format("unk_token {} is not in the vocabulary", in_quotes(name)));
    }
    return *id;
}

void take_merges(TokenizerFile& file, const BulkTexts& merges) {
    file.merges.reserve(merges.size() / 2);
    std::string product;
    for (std::size_t i = 0; i + 1 < merges.size(); i += 2) {
        const std::string_view left = merges.at(i);
        const std::string_view right = merges.at(i + 1);
        product.assign(left).append(right);
        const auto id = [&](std::string_view part) {
            const std::optional<TokenId> found = file.vocabulary.find(part);
            if (!found) {
                throw Error(ErrorKind::malformed,
                            format("merge {} ({} with {}) needs {}, which is not in the vocabulary",
                                   i / 2,
                                   in_quotes(left),
                                   in_quotes(right),
                                   in_quotes(part)));
            }
            return *found;
        };
        file.merges.set(id(left), id(right), static_cast<std::uint32_t>(i / 2), id(product));
    }
}

void refuse_options(const Json& model) {
    if (is_set(model, "dropout") && model.at("dropout").as_double("dropout") != 0.0) {
        refuse_feature("model option", "dropout");
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (is_set(model, key) && !model.at(key).as_string(key).empty()) {
            refuse_feature("model option", key);
        }
    }
}

void read_byte_pairs(TokenizerFile& file, const TokenizerJson& json, const Json& model) {
    refuse_options(model);
    file.byte_pair.ignores_merges = find_flag(model, "ignore_merges");
    file.byte_pair.falls_back = find_flag(model, "byte_fallback");
    file.byte_pair.fuses_unknown = find_flag(model, "fuse_unk");
    take_vocabulary(file, json);
    take_merges(file, json.merges);
    file.byte_pair.unknown = find_unknown(file, model);
}

void read_words(TokenizerFile& file, const TokenizerJson& json, const Json& model) {
    file.model = ModelKind::word_level;
    take_vocabulary(file, json);
    file.unknown = find_unknown(file, model);
    if (file.unknown < 0) {
        throw Error(ErrorKind::malformed, "a WordLevel model needs its unk_token");
    }
}

/// `"vocab": [["<unk>", 0.0], ["\u2581the", -3.1], …]`, the ids in order.
void read_unigrams(TokenizerFile& file, const Json& model) {
    file.model = ModelKind::unigram;
    file.unigram.falls_back = find_flag(model, "byte_fallback");
    const Json::Array& tokens = model.at("vocab").as_array("vocab");
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        const Json::Array& pair = tokens[id].as_array("a token of a Unigram model");
        if (pair.size() != 2) {
            throw Error(ErrorKind::malformed,
                        format("token {} of the Unigram model is no pair of text and score", id));
        }
        file.vocabulary.add(pair[0].as_string("a token"), id);
        file.unigram.scores.push_back(pair[1].as_double("a score"));
    }
    if (is_set(model, "unk_id")) {
        const std::uint64_t id = model.at("unk_id").as_unsigned("unk_id");
        if (id >= tokens.size()) {
            throw Error(ErrorKind::malformed, format("unk_id {} is outside the vocabulary", id));
        }
        file.unigram.unknown = static_cast<TokenId>(id);
    }
}

/// What the classes of transformers put around a vocabulary.
void apply_class(TokenizerFile& file, const Json& config) {
    const std::string& name = config.at("tokenizer_class").as_string("tokenizer_class");
    if (name.starts_with("Qwen2Tokenizer")) {
        file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
        file.stages.push_back({.pattern = std::string(patterns::qwen2)});
    } else if (name.starts_with("Qwen3_5Tokenizer")) {
        file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
        file.stages.push_back({.pattern = std::string(patterns::qwen3_5)});
    } else if (name.starts_with("GPT2Tokenizer")) {
        if (find_flag(config, "add_prefix_space")) {
            file.stages.push_back({.kind = SplitStage::Kind::prefix_space});
        }
        file.stages.push_back({.pattern = std::string(patterns::gpt2)});
    } else {
        refuse_feature("tokenizer_class (without a tokenizer.json)", name);
    }
    file.stages.push_back({.kind = SplitStage::Kind::spell_bytes});
}

}  // namespace

TokenizerFile parse_tokenizer_json(std::string_view text) {
    const TokenizerJson json = read_tokenizer_json(text);
    static_cast<void>(json.rest.as_object("the tokenizer"));
    const Json& model = json.rest.at("model");
    static_cast<void>(model.as_object("model"));
    const Json nothing;
    const auto section = [&](std::string_view name) -> const Json& {
        const Json* found = json.rest.find(name);
        return found == nullptr ? nothing : *found;
    };
    TokenizerFile file;
    read_normaliser(file, section("normalizer"));
    read_pre_tokenizer(file, section("pre_tokenizer"));
    read_decoder(file, section("decoder"));
    const std::string type = is_set(model, "type")    ? model.at("type").as_string("type")
                             : json.tokens.size() > 0 ? "BPE"
                                                      : "Unigram";
    if (type == "BPE") {
        read_byte_pairs(file, json, model);
    } else if (type == "WordLevel") {
        read_words(file, json, model);
    } else if (type == "Unigram") {
        read_unigrams(file, model);
    } else {
        refuse_feature("model", type);
    }
    if (type != "BPE" && file.byte_pair.is_byte_level) {
        refuse_feature("the pre_tokenizer ByteLevel before a model of type", type);
    }
    if (!section("added_tokens").is_null()) {
        for (const Json& entry : section("added_tokens").as_array("added_tokens")) {
            add_token(file, entry, entry.at("id").as_unsigned("id of an added token"));
        }
    }
    read_post_processor(file, section("post_processor"));
    return file;
}

TokenizerFile read_vocabulary_and_merges(const std::filesystem::path& folder) {
    TokenizerFile file;
    const auto reading = [&](std::string_view name, const auto& body) {
        in_context([&] { return format("reading {}", (folder / name).string()); },
                   [&] { body(io::read_text(folder / name)); });
    };
    reading("vocab.json",
            [&](const std::string& text) { take_vocabulary(file, read_vocab_json(text)); });
    reading("merges.txt", [&](const std::string& text) {
        BulkTexts merges;
        std::string_view rest = text;
        bool is_first = true;
        while (!rest.empty()) {
            std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(rest.size(), line.size() + 1));
            if (line.ends_with('\r')) {
                line.remove_suffix(1);
            }
            const bool is_version = is_first && line.starts_with("#version");
            is_first = false;
            if (!line.empty() && !is_version) {
                add_merge(merges, line);
            }
        }
        take_merges(file, merges);
    });
    in_context([&] { return format("reading {}", (folder / "tokenizer_config.json").string()); },
               [&] {
                   const Json config = read_tokenizer_config(folder);
                   apply_class(file, config);
                   add_listed_tokens(file, config);
               });
    return file;
}

}  // namespace anamnesis::language
