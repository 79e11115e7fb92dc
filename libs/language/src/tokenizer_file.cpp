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
#include "tokenizer_json.hpp"

namespace anamnesis::language {
namespace {

[[noreturn]] void refuse_feature(std::string_view what, std::string_view value) {
    throw Error(ErrorKind::unsupported, format("{} {} is not supported", what, in_quotes(value)));
}

bool is_set(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value != nullptr && !value->is_null();
}

bool flag(const Json& object, std::string_view key, bool otherwise = false) {
    return is_set(object, key) ? object.at(key).as_boolean(key) : otherwise;
}

/// The parts of a Sequence, or the one thing itself.
std::vector<const Json*> parts_of(const Json& value, std::string_view list) {
    std::vector<const Json*> parts;
    if (value.is_null()) {
        return parts;
    }
    if (value.at("type").as_string("type") != "Sequence") {
        return {&value};
    }
    for (const Json& part : value.at(list).as_array(list)) {
        for (const Json* inner : parts_of(part, list)) {
            parts.push_back(inner);
        }
    }
    return parts;
}

const std::string& type_of(const Json& part) {
    return part.at("type").as_string("type");
}

std::string literal_of(const Json& pattern) {
    if (!is_set(pattern, "String")) {
        refuse_feature("a replaced pattern other than a", "String");
    }
    return pattern.at("String").as_string("String");
}

void read_normaliser(TokenizerFile& file, const Json& value) {
    for (const Json* part : parts_of(value, "normalizers")) {
        const std::string& type = type_of(*part);
        if (type == "NFC") {
            file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
        } else if (type == "Prepend" && !file.is_byte_level) {
            file.normaliser.push_back(
                {.kind = Rewrite::Kind::prepend, .to = part->at("prepend").as_string("prepend")});
        } else if (type == "Replace" && !file.is_byte_level) {
            file.normaliser.push_back({.kind = Rewrite::Kind::replace,
                                       .from = literal_of(part->at("pattern")),
                                       .to = part->at("content").as_string("content")});
            if (file.normaliser.back().from.empty()) {
                throw Error(ErrorKind::malformed, "the normaliser replaces an empty string");
            }
        } else {
            refuse_feature("normalizer", type);
        }
    }
}

/// A literal as an expression.
std::string escaped(std::string_view literal) {
    std::string pattern;
    for (const char c : literal) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_plain = byte >= 0x80 || (byte >= '0' && byte <= '9') ||
                              (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        pattern += is_plain ? std::string(1, c) : format("\\x{:02X}", byte);
    }
    return pattern;
}

void read_pre_tokenizer(TokenizerFile& file, const Json& value) {
    bool has_byte_level = false;
    for (const Json* part : parts_of(value, "pretokenizers")) {
        const std::string& type = type_of(*part);
        if (has_byte_level) {
            refuse_feature("a pre_tokenizer after ByteLevel,", type);
        }
        if (type == "Split" && file.is_byte_level) {
            const std::string& behaviour = part->at("behavior").as_string("behavior");
            const bool keeps_matches = behaviour == "Removed" && flag(*part, "invert");
            if (behaviour != "Isolated" && !keeps_matches) {
                refuse_feature("pre_tokenizer Split with behavior", behaviour);
            }
            const Json& pattern = part->at("pattern");
            file.patterns.push_back(is_set(pattern, "Regex")
                                        ? pattern.at("Regex").as_string("Regex")
                                        : escaped(literal_of(pattern)));
        } else if (type == "Digits" && file.is_byte_level) {
            file.patterns.emplace_back(flag(*part, "individual_digits") ? R"(\p{N})" : R"(\p{N}+)");
        } else if (type == "ByteLevel" && file.is_byte_level) {
            has_byte_level = true;
            file.adds_prefix_space = flag(*part, "add_prefix_space");
            if (file.adds_prefix_space && !file.patterns.empty()) {
                refuse_feature("add_prefix_space after", "Split");
            }
            if (flag(*part, "use_regex", true)) {
                file.patterns.emplace_back(patterns::gpt2);
            }
        } else {
            refuse_feature("pre_tokenizer", type);
        }
    }
    if (file.is_byte_level && !has_byte_level) {
        refuse_feature("a pre_tokenizer without", "ByteLevel");
    }
}

void read_decoder(TokenizerFile& file, const Json& value) {
    bool has_bytes = false;
    for (const Json* part : parts_of(value, "decoders")) {
        const std::string& type = type_of(*part);
        if (file.is_byte_level ? type == "ByteLevel" : type == "ByteFallback") {
            has_bytes = true;
        } else if (!file.is_byte_level && type == "Strip") {
            if (part->at("content").as_string("content") != " " ||
                part->at("start").as_unsigned("start") != 1 ||
                part->at("stop").as_unsigned("stop") != 0) {
                refuse_feature("decoder Strip other than of one leading", " ");
            }
            file.strips_leading_space = true;
        } else if (!file.is_byte_level && type == "Replace") {
            if (literal_of(part->at("pattern")) != "\xE2\x96\x81" ||
                part->at("content").as_string("content") != " ") {
                refuse_feature("decoder Replace other than of U+2581 by", " ");
            }
        } else if (file.is_byte_level || type != "Fuse") {
            refuse_feature("decoder", type);
        }
    }
    if (!has_bytes) {
        refuse_feature("a decoder without", file.is_byte_level ? "ByteLevel" : "ByteFallback");
    }
}

void read_template(TokenizerFile& file, const Json& part) {
    bool has_text = false;
    for (const Json& item : part.at("single").as_array("single")) {
        if (item.find("Sequence") != nullptr) {
            if (has_text) {
                refuse_feature("a template that repeats", "Sequence");
            }
            has_text = true;
            continue;
        }
        const std::string& name = item.at("SpecialToken").at("id").as_string("id");
        for (const Json& id :
             part.at("special_tokens").at(name).at("ids").as_array("ids of a special token")) {
            const std::uint64_t number = id.as_unsigned("an id of a special token");
            if (number >= file.vocabulary.id_limit()) {
                throw Error(ErrorKind::malformed,
                            format("the template's token {} has id {}, outside the vocabulary",
                                   in_quotes(name),
                                   number));
            }
            (has_text ? file.after : file.before).push_back(static_cast<TokenId>(number));
        }
    }
    if (!has_text) {
        throw Error(ErrorKind::malformed, "the template has no place for the text");
    }
}

void read_post_processor(TokenizerFile& file, const Json& value) {
    for (const Json* part : parts_of(value, "processors")) {
        const std::string& type = type_of(*part);
        if (type == "TemplateProcessing") {
            if (!file.before.empty() || !file.after.empty()) {
                refuse_feature("a second post_processor", type);
            }
            read_template(file, *part);
        } else if (type != "ByteLevel") {
            refuse_feature("post_processor", type);
        }
    }
}

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
                            format("added token {} stands twice", in_quotes(content)));
            }
        }
    } else {
        file.vocabulary.add(content, id);
    }
    file.added.push_back({.id = static_cast<TokenId>(id),
                          .content = content,
                          .is_single_word = flag(entry, "single_word"),
                          .strips_left = flag(entry, "lstrip"),
                          .strips_right = flag(entry, "rstrip"),
                          .is_normalised = flag(entry, "normalized"),
                          .is_special = flag(entry, "special")});
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
    if (pre_tokenizer.is_null() || type_of(pre_tokenizer) != "WhitespaceSplit") {
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
        file.adds_prefix_space = flag(config, "add_prefix_space");
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
    file.is_byte_level = !file.is_word_level && !flag(model, "byte_fallback");
    if (file.is_word_level) {
        read_word_level(file, json);
    } else {
        refuse_options(model);
        file.ignores_merges = flag(model, "ignore_merges");
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
