// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_sections.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
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

/// `{"String": …}` or `{"Regex": …}` as an expression.
std::string read_pattern(const Json& pattern) {
    return is_set(pattern, "Regex") ? pattern.at("Regex").as_string("Regex")
                                    : escaped(pattern.at("String").as_string("String"));
}

Rewrite read_replacement(const Json& part) {
    const Json& pattern = part.at("pattern");
    const std::string& content = part.at("content").as_string("content");
    if (is_set(pattern, "Regex")) {
        return {.kind = Rewrite::Kind::match,
                .expression = std::make_shared<const Expression>(read_pattern(pattern)),
                .to = content};
    }
    const std::string& from = pattern.at("String").as_string("String");
    if (from.empty()) {
        throw Error(ErrorKind::malformed, "an empty string is replaced");
    }
    return {.kind = Rewrite::Kind::replace, .from = from, .to = content};
}

SplitBehaviour read_behaviour(const Json& part, SplitBehaviour otherwise) {
    if (!is_set(part, "behavior")) {
        return otherwise;
    }
    const std::string& word = part.at("behavior").as_string("behavior");
    constexpr std::array<std::pair<std::string_view, SplitBehaviour>, 5> words{{
        {"Isolated", SplitBehaviour::isolated},
        {"Removed", SplitBehaviour::removed},
        {"MergedWithPrevious", SplitBehaviour::with_previous},
        {"MergedWithNext", SplitBehaviour::with_next},
        {"Contiguous", SplitBehaviour::contiguous},
    }};
    const auto found =
        std::ranges::find(words, word, [](const auto& entry) { return entry.first; });
    if (found == words.end()) {
        refuse_feature("pre_tokenizer with behavior", word);
    }
    return found->second;
}

SplitStage read_metaspace(const Json& part) {
    SplitStage stage{.kind = SplitStage::Kind::metaspace,
                     .replacement = part.at("replacement").as_string("replacement"),
                     .splits = find_flag(part, "split", true)};
    const std::string scheme = is_set(part, "prepend_scheme")
                                   ? part.at("prepend_scheme").as_string("prepend_scheme")
                                   : "always";
    if (scheme != "always" && scheme != "first" && scheme != "never") {
        refuse_feature("pre_tokenizer Metaspace with prepend_scheme", scheme);
    }
    stage.prepends = scheme == "first"   ? PrependScheme::first
                     : scheme == "never" ? PrependScheme::never
                                         : PrependScheme::always;
    if (!find_flag(part, "add_prefix_space", true)) {
        stage.prepends = PrependScheme::never;
    }
    if (stage.replacement.empty()) {
        throw Error(ErrorKind::malformed, "the pre_tokenizer Metaspace has no replacement");
    }
    return stage;
}

void read_byte_level(TokenizerFile& file, const Json& part) {
    if (find_flag(part, "add_prefix_space", true)) {
        file.stages.push_back({.kind = SplitStage::Kind::prefix_space});
    }
    if (find_flag(part, "use_regex", true)) {
        file.stages.push_back({.pattern = std::string(patterns::gpt2)});
    }
    file.stages.push_back({.kind = SplitStage::Kind::spell_bytes});
}

/// Stages that are an expression by another name.
std::optional<SplitStage> read_pattern_stage(const Json& part, const std::string& type) {
    if (type == "Split") {
        return SplitStage{.pattern = read_pattern(part.at("pattern")),
                          .behaviour = read_behaviour(part, SplitBehaviour::isolated),
                          .is_inverted = find_flag(part, "invert")};
    }
    if (type == "Digits") {
        return SplitStage{.pattern = R"(\p{N})",
                          .behaviour = find_flag(part, "individual_digits")
                                           ? SplitBehaviour::isolated
                                           : SplitBehaviour::contiguous};
    }
    if (type == "Punctuation") {
        return SplitStage{.pattern = R"([\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E\p{P}])",
                          .behaviour = read_behaviour(part, SplitBehaviour::isolated)};
    }
    if (type == "WhitespaceSplit") {
        return SplitStage{.pattern = R"(\s)", .behaviour = SplitBehaviour::removed};
    }
    if (type == "CharDelimiterSplit") {
        return SplitStage{.pattern = escaped(part.at("delimiter").as_string("delimiter")),
                          .behaviour = SplitBehaviour::removed};
    }
    return std::nullopt;
}

/// `["</s>", 2]`
TokenId read_pair(const TokenizerFile& file, const Json& pair, std::string_view what) {
    const Json::Array& parts = pair.as_array(what);
    const std::uint64_t id = parts.size() == 2 ? parts[1].as_unsigned(what) : ~std::uint64_t{0};
    if (id >= file.vocabulary.id_limit()) {
        throw Error(ErrorKind::malformed,
                    format("the post_processor's '{}' is no token with its id", what));
    }
    return static_cast<TokenId>(id);
}

void read_strip(TokenizerFile& file, const Json& part, bool is_fused) {
    const std::string& content = part.at("content").as_string("content");
    const std::uint64_t start = part.at("start").as_unsigned("start");
    if (!is_fused || content.empty() || part.at("stop").as_unsigned("stop") != 0) {
        refuse_feature("decoder Strip other than at the beginning of the whole text, of", content);
    }
    file.joining.stripped = content;
    file.joining.most_stripped = start;
}

void read_metaspace_decoder(TokenizerFile& file, const Json& part) {
    const SplitStage stage = read_metaspace(part);
    if (!file.token_rewrites.empty()) {
        refuse_feature("a decoder before", "Metaspace");
    }
    if (stage.prepends != PrependScheme::never) {
        file.joining.dropped_in_first = " ";
    }
    file.token_rewrites.push_back(
        {.kind = Rewrite::Kind::replace, .from = stage.replacement, .to = " "});
}

}  // namespace

void read_normaliser(TokenizerFile& file, const Json& value) {
    constexpr std::array<std::pair<std::string_view, Rewrite::Kind>, 5> plain{{
        {"NFC", Rewrite::Kind::nfc},
        {"NFD", Rewrite::Kind::nfd},
        {"NFKC", Rewrite::Kind::nfkc},
        {"NFKD", Rewrite::Kind::nfkd},
        {"Lowercase", Rewrite::Kind::lowercase},
    }};
    for (const Json* part : list_parts(value, "normalizers")) {
        const std::string& type = find_type(*part);
        const auto found =
            std::ranges::find(plain, type, [](const auto& entry) { return entry.first; });
        if (found != plain.end()) {
            file.normaliser.push_back({.kind = found->second});
        } else if (type == "Prepend") {
            file.normaliser.push_back(
                {.kind = Rewrite::Kind::prepend, .to = part->at("prepend").as_string("prepend")});
        } else if (type == "Replace") {
            file.normaliser.push_back(read_replacement(*part));
        } else if (type == "Strip") {
            file.normaliser.push_back({.kind = Rewrite::Kind::strip,
                                       .strips_left = find_flag(*part, "strip_left", true),
                                       .strips_right = find_flag(*part, "strip_right", true)});
        } else {
            refuse_feature("normalizer", type);
        }
    }
}

void read_pre_tokenizer(TokenizerFile& file, const Json& value) {
    bool has_byte_level = false;
    for (const Json* part : list_parts(value, "pretokenizers")) {
        const std::string& type = find_type(*part);
        std::optional<SplitStage> stage = read_pattern_stage(*part, type);
        if (stage) {
            file.stages.push_back(*std::move(stage));
        } else if (type == "Metaspace" && !has_byte_level) {
            file.stages.push_back(read_metaspace(*part));
        } else if (type == "ByteLevel" && !has_byte_level) {
            has_byte_level = true;
            read_byte_level(file, *part);
        } else {
            refuse_feature(has_byte_level ? "a pre_tokenizer after ByteLevel," : "pre_tokenizer",
                           type);
        }
    }
    file.byte_pair.is_byte_level = has_byte_level;
}

void read_decoder(TokenizerFile& file, const Json& value) {
    file.joins_with_spaces = value.is_null();
    if (value.is_null()) {
        file.joining.stripped = " ";
        file.joining.most_stripped = 1;
    }
    bool is_fused = false;
    for (const Json* part : list_parts(value, "decoders")) {
        const std::string& type = find_type(*part);
        if (is_fused && type != "Strip" && type != "Fuse") {
            refuse_feature("a decoder after Fuse,", type);
        }
        if (type == "ByteLevel" && file.byte_pair.is_byte_level) {
            continue;
        }
        if (type == "ByteFallback") {
            file.joining.has_byte_runs = true;
        } else if (type == "Fuse") {
            is_fused = true;
        } else if (type == "Strip") {
            read_strip(file, *part, is_fused);
        } else if (type == "Replace" && !file.joining.has_byte_runs) {
            file.token_rewrites.push_back(read_replacement(*part));
        } else if (type == "Metaspace") {
            read_metaspace_decoder(file, *part);
        } else {
            refuse_feature("decoder", type);
        }
    }
}

void read_post_processor(TokenizerFile& file, const Json& value) {
    for (const Json* part : list_parts(value, "processors")) {
        const std::string& type = find_type(*part);
        const bool is_pair = type == "RobertaProcessing" || type == "BertProcessing";
        if (type == "ByteLevel") {
            continue;
        }
        if (type != "TemplateProcessing" && !is_pair) {
            refuse_feature("post_processor", type);
        }
        if (!file.before.empty() || !file.after.empty()) {
            refuse_feature("a second post_processor", type);
        }
        if (is_pair) {
            file.before.push_back(read_pair(file, part->at("cls"), "cls"));
            file.after.push_back(read_pair(file, part->at("sep"), "sep"));
        } else {
            read_template(file, *part);
        }
    }
}

}  // namespace anamnesis::language
