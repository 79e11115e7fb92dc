// SPDX-License-Identifier: Apache-2.0
#include "named_tokens.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {
namespace {

constexpr std::array<std::string_view, 7> standard_names{
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

constexpr std::string_view listed = "extra_special_tokens";
constexpr std::string_view models_own = "model_specific_special_tokens";

bool is_standard(std::string_view name) {
    return std::ranges::find(standard_names, name) != standard_names.end();
}

bool is_own_name(std::string_view name) {
    return name.ends_with("_token") && !is_standard(name);
}

/// "<s>" of "<s>" or of {"content": "<s>", …}.
std::optional<std::string> find_token(const Json& value) {
    const Json* token = value.is_object() ? value.find("content") : &value;
    return token != nullptr && token->is_string() ? std::optional(token->as_string("a token"))
                                                  : std::nullopt;
}

using Tokens = std::map<std::string, std::string>;

/// Every entry of {"image_token": "<image>", …}; nothing where it is no object.
void take_all(Tokens& tokens, const Json* entries) {
    if (entries == nullptr || !entries->is_object()) {
        return;
    }
    for (const auto& [name, value] : entries->as_object("special tokens")) {
        const std::optional<std::string> token = find_token(value);
        if (!token) {
            throw Error(ErrorKind::malformed,
                        format("the special token {} is neither a text nor an object with content",
                               in_quotes(name)));
        }
        tokens[name] = *token;
    }
}

/// The entries of either file that count, as the reference puts them together.
class NamedTokens {
public:
    void read_config(const Json& config) {
        for (const auto& [name, value] : config.as_object("tokenizer_config.json")) {
            const std::optional<std::string> token = find_token(value);
            if (token && is_standard(name)) {
                standard_[name] = *token;
            } else if (token && is_own_name(name)) {
                (value.is_string() ? named_ : own_)[name] = *token;
            }
        }
        take_all(named_, config.find(listed));
        // The reference drops the object of the model's own names where there are others.
        if (named_.empty()) {
            take_all(named_, config.find(models_own));
        }
    }

    /// The map has the last word on the standard names, null included.
    void read_map(const Json& map) {
        for (const auto& [name, value] : map.as_object("special_tokens_map.json")) {
            const std::optional<std::string> token = find_token(value);
            if (is_standard(name)) {
                standard_.erase(name);
            }
            if (token && (is_standard(name) || is_own_name(name))) {
                (is_standard(name) ? standard_ : own_)[name] = *token;
            }
        }
        take_all(named_, map.find(listed));
    }

    Json to_json() const {
        Json tokens = Json::object();
        for (const Tokens* part : {&standard_, &own_, &named_}) {
            for (const auto& [name, token] : *part) {
                tokens.set(name, token);
            }
        }
        return tokens;
    }

private:
    Tokens standard_{};
    Tokens own_{};    ///< other keys that end in _token
    Tokens named_{};  ///< those listed as the model's own, which win
};

}  // namespace

Json read_named_tokens(const Json& config, const Json& map) {
    NamedTokens tokens;
    tokens.read_config(config);
    // A configuration that lists its added tokens is complete: a map beside it is an old one.
    if (config.find("added_tokens_decoder") == nullptr) {
        tokens.read_map(map);
    }
    return tokens.to_json();
}

}  // namespace anamnesis::language
