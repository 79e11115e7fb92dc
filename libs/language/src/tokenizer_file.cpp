// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_file.hpp"

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
#include "anamnesis/language/utf8.hpp"

#include "byte_alphabet.hpp"
#include "pre_tokenizer.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_json.hpp"
#include "tokenizer_sections.hpp"

namespace anamnesis::language {
namespace {

void add_token(TokenizerFile& file, const Json& entry, std::uint64_t id) {
    const std::string& content = entry.at("content").as_string("content of an added token");
    if (const std::optional<TokenId> known = file.vocabulary.find(content)) {
        if (static_cast<std::uint64_t>(*known) != id) {
            throw Error(ErrorKind::malformed,
                        format("added token {} has id {}, in the vocabulary it has {}",
                               in_quotes(content),
                               id,
                               *known));
        }
        for (const AddedToken& other : file.added) {
            if (other.id == *known) {
                throw Error(ErrorKind::malformed,
                            format("duplicate added token {}", in_quotes(content)));
            }
        }
    } else {
        file.vocabulary.add(content, id);
    }
    file.added.push_back({.id = static_cast<TokenId>(id),
                          .content = content,
                          .is_single_word = find_flag(entry, "single_word"),
                          .strips_left = find_flag(entry, "lstrip"),
                          .strips_right = find_flag(entry, "rstrip"),
                          .is_normalised = find_flag(entry, "normalized"),
                          .is_special = find_flag(entry, "special")});
}

void check_bytes(const TokenizerFile& file) {
    for (unsigned byte = 0; byte < 256; ++byte) {
        const bool never_occurs = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
        std::string spelling;
        if (file.is_byte_level) {
            append_utf8(spelling, character_of_byte(static_cast<unsigned char>(byte)));
        } else {
            spelling = format("<0x{:02X}>", byte);
        }
        if (!never_occurs && !file.vocabulary.find(spelling)) {
            throw Error(
                ErrorKind::malformed,
                format(
                    "the vocabulary has no token {} for byte 0x{:02X}", in_quotes(spelling), byte));
        }
    }
}

void take_vocabulary(TokenizerFile& file, const TokenizerJson& json) {
    file.vocabulary.reserve(json.tokens.size() + 1024, json.tokens.texts.size() + 65'536);
    for (std::size_t i = 0; i < json.tokens.size(); ++i) {
        file.vocabulary.add(json.tokens.at(i), json.ids.at(i));
    }
    check_bytes(file);
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

/// A WordLevel model: words between spaces, decoded with one space between them.
void read_word_level(TokenizerFile& file, const TokenizerJson& json) {
    const Json& pre_tokenizer = json.rest.at("pre_tokenizer");
    if (pre_tokenizer.is_null() ||
        pre_tokenizer.at("type").as_string("type") != "WhitespaceSplit") {
        refuse_feature("a WordLevel model with a pre_tokenizer other than", "WhitespaceSplit");
    }
    for (const char* section : {"normalizer", "decoder"}) {
        if (is_set(json.rest, section)) {
            refuse_feature("a WordLevel model with a", section);
        }
    }
    for (std::size_t i = 0; i < json.tokens.size(); ++i) {
        file.vocabulary.add(json.tokens.at(i), json.ids.at(i));
    }
    const std::string& unknown = json.rest.at("model").at("unk_token").as_string("unk_token");
    const std::optional<TokenId> id = file.vocabulary.find(unknown);
    if (!id) {
        throw Error(ErrorKind::malformed,
                    format("unk_token {} is not in the vocabulary", in_quotes(unknown)));
    }
    file.unknown = *id;
    file.strips_leading_space = true;
}

bool has_words(const Json& model) {
    return is_set(model, "type") && model.at("type").as_string("type") == "WordLevel";
}

void refuse_options(const Json& model) {
    if (is_set(model, "type") && model.at("type").as_string("type") != "BPE") {
        refuse_feature("model", model.at("type").as_string("type"));
    }
    if (is_set(model, "dropout") && model.at("dropout").as_double("dropout") != 0.0) {
        refuse_feature("model option", "dropout");
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (is_set(model, key) && !model.at(key).as_string(key).empty()) {
            refuse_feature("model option", key);
        }
    }
}

/// What the classes of transformers put around a vocabulary.
void apply_class(TokenizerFile& file, const Json& config) {
    const std::string& name = config.at("tokenizer_class").as_string("tokenizer_class");
    if (name.starts_with("Qwen2Tokenizer")) {
        file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
        file.patterns.emplace_back(patterns::qwen2);
    } else if (name.starts_with("Qwen3_5Tokenizer")) {
        file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
        file.patterns.emplace_back(patterns::qwen3_5);
    } else if (name.starts_with("GPT2Tokenizer")) {
        file.adds_prefix_space = find_flag(config, "add_prefix_space");
        file.patterns.emplace_back(patterns::gpt2);
    } else {
        refuse_feature("tokenizer_class (without a tokenizer.json)", name);
    }
}

void read_added_tokens(TokenizerFile& file,
                       const std::filesystem::path& folder,
                       const Json& config) {
    if (is_set(config, "added_tokens_decoder")) {
        for (const auto& [id, entry] :
             config.at("added_tokens_decoder").as_object("added_tokens_decoder")) {
            if (id.empty() || id.size() > 8 ||
                id.find_first_not_of("0123456789") != std::string::npos) {
                throw Error(ErrorKind::malformed,
                            format("added_tokens_decoder has the id {}", in_quotes(id)));
            }
            add_token(file, entry, std::stoull(id));
        }
        return;
    }
    const std::filesystem::path path = folder / "added_tokens.json";
    if (!std::filesystem::exists(path)) {
        return;
    }
    in_context([&] { return format("reading {}", path.string()); },
               [&] {
                   const Json added = Json::parse(io::read_text(path));
                   for (const auto& [content, id] : added.as_object("added tokens")) {
                       Json entry = Json::object();
                       entry.set("content", content);
                       entry.set("special", true);
                       add_token(file, entry, id.as_unsigned(content));
                   }
               });
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
    file.is_word_level = has_words(model);
    file.is_byte_level = !file.is_word_level && !find_flag(model, "byte_fallback");
    if (file.is_word_level) {
        read_word_level(file, json);
    } else {
        refuse_options(model);
        file.ignores_merges = find_flag(model, "ignore_merges");
        read_normaliser(file, section("normalizer"));
        read_pre_tokenizer(file, section("pre_tokenizer"));
        read_decoder(file, section("decoder"));
        take_vocabulary(file, json);
        take_merges(file, json.merges);
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
    reading("tokenizer_config.json", [&](const std::string& text) {
        const Json config = Json::parse_python(text);
        apply_class(file, config);
        read_added_tokens(file, folder, config);
    });
    return file;
}

}  // namespace anamnesis::language
