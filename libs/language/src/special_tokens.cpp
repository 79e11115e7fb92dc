// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/special_tokens.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {
namespace {

std::vector<TokenId> ids_in(const Json& object) {
    std::vector<TokenId> ids;
    const Json* value = object.find("eos_token_id");
    if (value == nullptr || value->is_null()) {
        return ids;
    }
    const auto add = [&](const Json& id) {
        const std::uint64_t number = id.as_unsigned("eos_token_id");
        if (number > 0x7FFFFFFFU) {
            throw Error(ErrorKind::malformed, format("eos_token_id {} is no token", number));
        }
        if (std::ranges::find(ids, static_cast<TokenId>(number)) == ids.end()) {
            ids.push_back(static_cast<TokenId>(number));
        }
    };
    if (value->is_array()) {
        for (const Json& id : value->as_array("eos_token_id")) {
            add(id);
        }
    } else {
        add(*value);
    }
    return ids;
}

}  // namespace

std::vector<TokenId> end_of_text_tokens(const std::filesystem::path& folder, const Json& config) {
    const auto reading = [&](const char* name, const auto& body) -> std::vector<TokenId> {
        const std::filesystem::path path = folder / name;
        if (!std::filesystem::exists(path)) {
            return {};
        }
        return in_context([&] { return format("reading {}", path.string()); },
                          [&] { return body(Json::parse_python(io::read_text(path))); });
    };
    std::vector<TokenId> ids =
        reading("generation_config.json", [](const Json& json) { return ids_in(json); });
    if (!ids.empty()) {
        return ids;
    }
    ids = in_context([] { return std::string("reading config.json"); },
                     [&] {
                         std::vector<TokenId> found = ids_in(config);
                         if (const Json* text = config.find("text_config");
                             found.empty() && text != nullptr) {
                             found = ids_in(*text);
                         }
                         return found;
                     });
    if (!ids.empty()) {
        return ids;
    }
    return reading("tokenizer_config.json", [&](const Json& json) -> std::vector<TokenId> {
        const Json* token = json.find("eos_token");
        if (token != nullptr && token->is_object()) {
            token = &token->at("content");
        }
        if (token == nullptr || token->is_null()) {
            return {};
        }
        const std::optional<TokenId> id =
            Tokenizer::open(folder).find(token->as_string("eos_token"));
        if (!id) {
            throw Error(ErrorKind::malformed,
                        format("eos_token {} is not in the vocabulary",
                               in_quotes(token->as_string("eos_token"))));
        }
        return {*id};
    });
}

}  // namespace anamnesis::language
