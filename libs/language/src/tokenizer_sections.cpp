// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_sections.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "byte_alphabet.hpp"
#include "pre_tokenizer.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

/// The parts of a Sequence, or the one thing itself.
std::vector<const Json*> list_parts(const Json& value, std::string_view list) {
    std::vector<const Json*> parts;
    if (value.is_null()) {
        return parts;
    }
    if (value.at("type").as_string("type") != "Sequence") {
        return {&value};
    }
    for (const Json& part : value.at(list).as_array(list)) {
        for (const Json* inner : list_parts(part, list)) {
            parts.push_back(inner);
        }
    }
    return parts;
}

const std::string& find_type(const Json& part) {
    return part.at("type").as_string("type");
}

std::string find_literal(const Json& pattern) {
    if (!is_set(pattern, "String")) {
        refuse_feature("a replaced pattern other than a", "String");
    }
    return pattern.at("String").as_string("String");
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

}  // namespace

void read_normaliser(TokenizerFile& file, const Json& value) {
    for (const Json* part : list_parts(value, "normalizers")) {
        const std::string& type = find_type(*part);
        if (type == "NFC") {
            file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
        } else if (type == "Prepend" && !file.is_byte_level) {
            file.normaliser.push_back(
                {.kind = Rewrite::Kind::prepend, .to = part->at("prepend").as_string("prepend")});
        } else if (type == "Replace" && !file.is_byte_level) {
            file.normaliser.push_back({.kind = Rewrite::Kind::replace,
                                       .from = find_literal(part->at("pattern")),
                                       .to = part->at("content").as_string("content")});
            if (file.normaliser.back().from.empty()) {
                throw Error(ErrorKind::malformed, "the normaliser replaces an empty string");
            }
        } else {
            refuse_feature("normalizer", type);
        }
    }
}

void read_pre_tokenizer(TokenizerFile& file, const Json& value) {
    bool has_byte_level = false;
    for (const Json* part : list_parts(value, "pretokenizers")) {
        const std::string& type = find_type(*part);
        if (has_byte_level) {
            refuse_feature("a pre_tokenizer after ByteLevel,", type);
        }
        if (type == "Split" && file.is_byte_level) {
            const std::string& behaviour = part->at("behavior").as_string("behavior");
            const bool keeps_matches = behaviour == "Removed" && find_flag(*part, "invert");
            if (behaviour != "Isolated" && !keeps_matches) {
                refuse_feature("pre_tokenizer Split with behavior", behaviour);
            }
            const Json& pattern = part->at("pattern");
            file.patterns.push_back(is_set(pattern, "Regex")
                                        ? pattern.at("Regex").as_string("Regex")
                                        : escaped(find_literal(pattern)));
        } else if (type == "Digits" && file.is_byte_level) {
            file.patterns.emplace_back(find_flag(*part, "individual_digits") ? R"(\p{N})"
                                                                             : R"(\p{N}+)");
        } else if (type == "ByteLevel" && file.is_byte_level) {
            has_byte_level = true;
            file.adds_prefix_space = find_flag(*part, "add_prefix_space");
            if (file.adds_prefix_space && !file.patterns.empty()) {
                refuse_feature("add_prefix_space after", "Split");
            }
            if (find_flag(*part, "use_regex", true)) {
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
    for (const Json* part : list_parts(value, "decoders")) {
        const std::string& type = find_type(*part);
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
            if (find_literal(part->at("pattern")) != "\xE2\x96\x81" ||
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

void read_post_processor(TokenizerFile& file, const Json& value) {
    for (const Json* part : list_parts(value, "processors")) {
        const std::string& type = find_type(*part);
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

}  // namespace anamnesis::language
