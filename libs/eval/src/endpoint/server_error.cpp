// SPDX-License-Identifier: Apache-2.0
#include "endpoint/server_error.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

namespace anamnesis::eval {
namespace {

struct Wording {
    std::string_view word;
    int status;
};

constexpr std::array<Wording, 6> final_wordings{{{"invalid", 400},
                                                 {"badrequest", 400},
                                                 {"notfound", 404},
                                                 {"authentication", 401},
                                                 {"permission", 403},
                                                 {"quota", 400}}};
constexpr std::array<Wording, 14> passing_wordings{{{"overloaded", 503},
                                                    {"ratelimit", 429},
                                                    {"toomanyrequests", 429},
                                                    {"timeout", 504},
                                                    {"timedout", 504},
                                                    {"unavailable", 503},
                                                    {"loadingmodel", 503},
                                                    {"tryagain", 503},
                                                    {"temporar", 503},
                                                    {"busy", 503},
                                                    {"badgateway", 502},
                                                    {"upstream", 502},
                                                    {"servererror", 500},
                                                    {"internalerror", 500}}};

/// "rate_limit_error", "Rate limit reached" and "RateLimitError" begin alike.
std::string keep_letters(std::string_view text) {
    std::string letters;
    for (const char c : text) {
        if (c >= 'A' && c <= 'Z') {
            letters.push_back(static_cast<char>(c + 32));
        } else if (c >= 'a' && c <= 'z') {
            letters.push_back(c);
        }
    }
    return letters;
}

template <std::size_t size>
std::optional<int> find_wording(const std::array<Wording, size>& wordings, std::string_view text) {
    const std::string letters = keep_letters(text);
    for (const Wording& wording : wordings) {
        if (letters.find(wording.word) != std::string::npos) {
            return wording.status;
        }
    }
    return std::nullopt;
}

/// 503, 503.0 or "503"; nothing where it is no status of an error.
std::optional<int> read_status(const Json& value) {
    double number = 0.0;
    if (value.is_number()) {
        number = value.as_double("a status");
    } else if (value.is_string()) {
        const std::string& text = value.as_string("a status");
        const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
        if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) {
            return std::nullopt;
        }
    }
    const bool is_error = number >= 400.0 && number < 600.0;
    return is_error ? std::optional(static_cast<int>(number)) : std::nullopt;
}

std::string find_text(const Json& object, std::string_view name) {
    const Json* text = object.is_object() ? object.find(name) : nullptr;
    return text != nullptr && text->is_string() ? text->as_string(name) : std::string();
}

std::optional<int> find_status(const Json& object) {
    if (!object.is_object()) {
        return std::nullopt;
    }
    for (const char* name : {"code", "status", "status_code", "http_status"}) {
        const Json* value = object.find(name);
        if (const auto status = value == nullptr ? std::nullopt : read_status(*value)) {
            return status;
        }
    }
    const std::string kind = find_text(object, "type") + " " + find_text(object, "code") + " " +
                             find_text(object, "status");
    const std::optional<int> passing = find_wording(passing_wordings, kind);
    return passing ? passing : find_wording(final_wordings, kind);
}

bool says_nothing(const Json& error) {
    return error.is_null() || (error.is_boolean() && !error.as_boolean("'error'")) ||
           (error.is_string() && error.as_string("'error'").empty()) ||
           (error.is_object() && error.as_object("'error'").empty()) ||
           (error.is_array() && error.as_array("'error'").empty());
}

const Json* find_saying_error(const Json& object) {
    const Json* error = object.is_object() ? object.find("error") : nullptr;
    return error == nullptr || says_nothing(*error) ? nullptr : error;
}

ServerError describe(const Json& error, const Json& holder) {
    ServerError found{.message = error.is_string() ? error.as_string("'error'")
                                                   : find_text(error, "message")};
    if (found.message.empty()) {
        found.message = find_text(holder, "message");
    }
    if (found.message.empty()) {
        found.message = holder.dump();
    }
    auto status = find_status(error);
    if (!status) {
        status = find_status(holder);
    }
    if (!status) {
        status = find_wording(passing_wordings, found.message);
    }
    found.status = status.value_or(found.status);
    return found;
}

}  // namespace

bool is_passing(std::int64_t status) {
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

std::string find_error_message(const std::string& body) {
    try {
        const Json json = Json::parse(body);
        const Json* error = json.find("error");
        const Json* holder = error != nullptr && error->is_object() ? error : &json;
        if (const Json* message = holder->find("message"); message && message->is_string()) {
            return message->as_string("message");
        }
        if (error != nullptr && error->is_string()) {
            return error->as_string("error");
        }
    } catch (const Error&) {
        // Not JSON: proxies answer in HTML.
    }
    return body;
}

std::optional<ServerError> find_server_error(const Json& reply) {
    if (const Json* error = find_saying_error(reply)) {
        return describe(*error, reply);
    }
    if (find_text(reply, "object") == "error") {
        return describe(reply, reply);
    }
    const Json* choices = reply.is_object() ? reply.find("choices") : nullptr;
    if (choices != nullptr && choices->is_array() && !choices->as_array("'choices'").empty()) {
        const Json& choice = choices->as_array("'choices'").front();
        if (const Json* error = find_saying_error(choice)) {
            return describe(*error, choice);
        }
    }
    return std::nullopt;
}

}  // namespace anamnesis::eval
