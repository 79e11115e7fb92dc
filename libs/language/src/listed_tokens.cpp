// SPDX-License-Identifier: Apache-2.0
#include "listed_tokens.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "tokenizer_features.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

namespace fs = std::filesystem;

std::optional<Json> find_json(const fs::path& path) {
    if (!fs::exists(path)) {
        return std::nullopt;
    }
    return in_context([&] { return format("reading {}", path.string()); },
                      [&] {
                          Json json = Json::parse_python(io::read_text(path));
                          static_cast<void>(json.as_object("the file"));
                          return std::optional(std::move(json));
                      });
}

/// `{"<tool>": 32000, …}` as an added_tokens_decoder.
Json list_by_id(const Json& added) {
    Json decoder = Json::object();
    for (const auto& [content, id] : added.as_object("added tokens")) {
        Json entry = Json::object();
        entry.set("content", content);
        entry.set("special", true);
        decoder.set(format("{}", id.as_unsigned(content)), std::move(entry));
    }
    return decoder;
}

std::uint64_t parse_listed_id(const std::string& id) {
    if (id.empty() || id.size() > 8 || id.find_first_not_of("0123456789") != std::string::npos) {
        throw Error(ErrorKind::malformed,
                    format("added_tokens_decoder has the id {}", in_quotes(id)));
    }
    return std::stoull(id);
}

}  // namespace

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
        // The reference takes a token that is listed again once.
        if (std::ranges::any_of(file.added,
                                [&](const AddedToken& other) { return other.id == *known; })) {
            return;
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

void add_listed_tokens(TokenizerFile& file, const Json& config) {
    if (!is_set(config, "added_tokens_decoder")) {
        return;
    }
    for (const auto& [id, entry] :
         config.at("added_tokens_decoder").as_object("added_tokens_decoder")) {
        add_token(file, entry, parse_listed_id(id));
    }
}

void add_configured_tokens(TokenizerFile& file, const Json& config) {
    const auto add = [&file](const Json& entry, bool is_special) {
        const Json* named = entry.is_object() ? entry.find("content") : &entry;
        if (named == nullptr || !named->is_string()) {
            return;  // "pad_token": false, say
        }
        Json token = entry.is_string() ? Json(Json::Object{{"content", entry}}) : entry;
        const std::string& content = named->as_string("content of a special token");
        const bool is_known = std::ranges::any_of(
            file.added, [&](const AddedToken& other) { return other.content == content; });
        if (content.empty() || is_known) {
            return;
        }
        if (is_special) {
            token.set("special", true);
        }
        const std::optional<TokenId> id = file.vocabulary.find(content);
        add_token(file, token, id ? static_cast<std::uint64_t>(*id) : file.vocabulary.id_limit());
    };
    if (is_set(config, "added_tokens_decoder")) {
        std::map<std::uint64_t, const Json*> by_id;
        for (const auto& [id, entry] :
             config.at("added_tokens_decoder").as_object("added_tokens_decoder")) {
            by_id.emplace(parse_listed_id(id), &entry);
        }
        for (const auto& [id, entry] : by_id) {
            add(*entry, false);
        }
    }
    for (const char* name : {"bos_token",
                             "eos_token",
                             "unk_token",
                             "sep_token",
                             "pad_token",
                             "cls_token",
                             "mask_token"}) {
        if (is_set(config, name)) {
            add(config.at(name), true);
        }
    }
    for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
        const Json* tokens = config.find(name);
        if (tokens != nullptr && tokens->is_array()) {
            for (const Json& token : tokens->as_array(name)) {
                add(token, true);
            }
        } else if (tokens != nullptr && tokens->is_object()) {
            for (const auto& [role, token] : tokens->as_object(name)) {
                add(token, true);
            }
        }
    }
}

std::optional<TokenId> find_named_token(const TokenizerFile& file,
                                        const Json& config,
                                        std::string_view name) {
    const Json* token = config.find(name);
    if (token != nullptr && token->is_object()) {
        token = token->find("content");
    }
    if (token == nullptr || token->is_null()) {
        return std::nullopt;
    }
    const std::string& text = token->as_string(name);
    const std::optional<TokenId> id = file.vocabulary.find(text);
    if (!id) {
        throw Error(ErrorKind::malformed,
                    format("'{}' {} is not in the vocabulary", name, in_quotes(text)));
    }
    return id;
}

Json read_tokenizer_config(const fs::path& folder) {
    Json config = find_json(folder / "tokenizer_config.json").value_or(Json::object());
    if (!is_set(config, "added_tokens_decoder")) {
        if (const auto added = find_json(folder / "added_tokens.json")) {
            config.set("added_tokens_decoder", list_by_id(*added));
        }
    }
    if (!is_set(config, "model_type")) {
        const auto model = find_json(folder / "config.json");
        if (model && is_set(*model, "model_type")) {
            config.set("model_type", model->at("model_type"));
        }
    }
    return config;
}

}  // namespace anamnesis::language
