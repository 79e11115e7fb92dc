// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/chat_template.hpp"

#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "gguf_tokenizer.hpp"
#include "jinja/template.hpp"
#include "named_tokens.hpp"

namespace anamnesis::language {
namespace {

namespace fs = std::filesystem;

struct NamedTemplate {
    std::string name;  ///< in errors
    jinja::Template body;
};

NamedTemplate read_template(std::string_view text, std::string_view name) {
    return in_context(
        [&] { return format("reading the chat template in {}", in_quotes(name, 1000)); },
        [&] { return NamedTemplate{.name = std::string(name), .body = jinja::Template(text)}; });
}

Json read_object(const fs::path& path) {
    if (!fs::exists(path)) {
        return Json::object();
    }
    return in_context([&] { return format("reading {}", in_quotes(path.string(), 1000)); },
                      [&] {
                          Json json = Json::parse_python(io::read_text(path));
                          json.as_object("the file");
                          return json;
                      });
}

/// One of a message's names for its thinking; transformers fills the others from it.
const Json* find_reasoning(const Json& message) {
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
        const Json* found = message.find(name);
        if (found != nullptr && !found->is_null()) {
            return found;
        }
    }
    return nullptr;
}

/// A message as templates see it. Keys without a value (OpenAI's clients write `content: null`) are
/// left out: templates print "None" of them. Source: transformers 5.24.
jinja::Value read_message(const Json& message) {
    Json seen = Json::object();
    const Json* reasoning = find_reasoning(message);
    if (reasoning != nullptr) {
        seen.set("thinking", *reasoning);
    }
    for (const auto& [key, value] : message.as_object("a message of the chat")) {
        if (!value.is_null()) {
            seen.set(key, value);
        }
    }
    if (reasoning != nullptr) {
        seen.set("reasoning_content", *reasoning);
    }
    return jinja::Value::read(seen);
}

std::tm read_clock() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::localtime_r(&now, &parts);
    return parts;
}

}  // namespace

struct ChatTemplate::Parts {
    NamedTemplate standard;
    std::optional<NamedTemplate> for_tools{};
    Json special_tokens = Json::object();
};

namespace {

/// The templates of `chat_template`: a text, or a list of {"name", "template"}.
std::map<std::string, std::string> list_templates(const Json& config) {
    std::map<std::string, std::string> templates;
    const Json* found = config.find("chat_template");
    if (found == nullptr || found->is_null()) {
        return templates;
    }
    if (found->is_string()) {
        templates["default"] = found->as_string("chat_template");
        return templates;
    }
    if (found->is_object()) {
        for (const auto& [name, text] : found->as_object("chat_template")) {
            templates[name] = text.as_string("chat_template");
        }
        return templates;
    }
    for (const Json& entry : found->as_array("chat_template")) {
        templates[entry.at("name").as_string("name")] = entry.at("template").as_string("template");
    }
    return templates;
}

}  // namespace

ChatTemplate ChatTemplate::read(std::string_view text,
                                std::string_view name,
                                const Json& special_tokens) {
    ChatTemplate result;
    result.parts_ = std::make_shared<const Parts>(
        Parts{.standard = read_template(text, name), .special_tokens = special_tokens});
    return result;
}

ChatTemplate ChatTemplate::open(const fs::path& folder, std::string_view advice) {
    const bool is_gguf = folder.extension() == ".gguf";
    const fs::path shared = is_gguf ? folder : folder / "tokenizer_config.json";
    const fs::path own = folder / "chat_template.jinja";
    const fs::path own_for_tools = folder / "additional_chat_templates" / "tool_use.jinja";
    const Json config = is_gguf ? read_gguf_tokenizer_config(folder) : read_object(shared);
    std::map<std::string, std::string> templates =
        in_context([&] { return format("reading {}", in_quotes(shared.string(), 1000)); },
                   [&] { return list_templates(config); });
    std::string name = shared.string();
    if (fs::exists(own)) {
        name = own.string();
        templates = {{"default", io::read_text(own)}};
        if (fs::exists(own_for_tools)) {
            templates["tool_use"] = io::read_text(own_for_tools);
        }
    }
    if (templates.empty()) {
        throw Error(ErrorKind::not_found,
                    format("{} holds no chat template{}{}{}",
                           in_quotes(folder.string(), 1000),
                           is_gguf ? "" : " (chat_template.jinja, or in tokenizer_config.json)",
                           advice.empty() ? "" : "; ",
                           advice));
    }
    if (!templates.contains("default")) {
        throw Error(
            ErrorKind::not_found,
            format("{} has chat templates, but none called 'default'", in_quotes(name, 1000)));
    }
    Parts parts{.standard = read_template(templates["default"], name),
                .special_tokens = in_context(
                    [&] { return format("reading {}", in_quotes(shared.string(), 1000)); },
                    [&] {
                        return read_named_tokens(config,
                                                 read_object(folder / "special_tokens_map.json"));
                    })};
    if (const auto found = templates.find("tool_use"); found != templates.end()) {
        parts.for_tools = read_template(found->second, name);
    }
    ChatTemplate result;
    result.parts_ = std::make_shared<const Parts>(std::move(parts));
    return result;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages,
                                 const RenderOptions& options) const {
    Json chat = Json::array();
    for (const ChatMessage& message : messages) {
        Json entry = Json::object();
        entry.set("role", message.role);
        entry.set("content", message.content);
        if (message.reasoning_content) {
            entry.set("reasoning_content", *message.reasoning_content);
        }
        chat.push_back(std::move(entry));
    }
    return render(chat, options);
}

bool ChatTemplate::takes_content_parts() const {
    constexpr std::string_view text = "two words";
    const Json part = Json::Object{{"type", "text"}, {"text", text}};
    Json messages = Json::array();
    messages.push_back(Json::Object{{"role", "user"}, {"content", Json::Array{part}}});
    try {
        const std::string chat = render(messages, {});
        return chat.find(text) != std::string::npos && chat.find("'type'") == std::string::npos &&
               chat.find("\"type\"") == std::string::npos;
    } catch (const Error&) {
        return false;
    }
}

std::string ChatTemplate::render(const Json& messages, const RenderOptions& options) const {
    if (messages.as_array("messages").empty()) {
        throw Error(ErrorKind::usage, "the chat has no messages");
    }
    jinja::Dict variables;
    const auto set_all = [&](const Json& values) {
        if (!values.is_null()) {
            for (const auto& [name, value] : values.as_object("the template's variables")) {
                variables.set(name, jinja::Value::read(value));
            }
        }
    };
    std::vector<jinja::Value> chat;
    for (const Json& message : messages.as_array("messages")) {
        chat.push_back(read_message(message));
    }
    variables.set("messages", jinja::Value::list(std::move(chat)));
    variables.set("tools", jinja::Value());
    variables.set("documents", jinja::Value());
    variables.set("add_generation_prompt", options.add_generation_prompt);
    set_all(parts_->special_tokens);
    if (options.enable_thinking) {
        variables.set("enable_thinking", *options.enable_thinking);
    }
    set_all(options.variables);
    const Json* tools = options.variables.find("tools");
    const bool has_tools = tools != nullptr && !tools->is_null();
    const NamedTemplate& chosen =
        has_tools && parts_->for_tools ? *parts_->for_tools : parts_->standard;
    return in_context(
        [&] { return format("running the chat template in {}", in_quotes(chosen.name, 1000)); },
        [&] { return chosen.body.render(variables, read_clock); });
}

}  // namespace anamnesis::language
