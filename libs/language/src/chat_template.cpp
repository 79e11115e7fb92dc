// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/chat_template.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::language {
namespace {

constexpr std::string_view base_system = "You are a helpful assistant.";
constexpr std::string_view white_space = " \t\n\v\f\r";

// Of Qwen2.5's template without its default system text and without white space at the end.
constexpr std::string_view qwen2_5_digest =
    "6c14865bcd87b706f964dd5e43851d194ec7bd8f1a1cfc688ff8dff3fcc271aa";

std::string_view strip_left(std::string_view text, std::string_view characters) {
    const std::size_t begin = text.find_first_not_of(characters);
    return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

std::string_view strip_right(std::string_view text, std::string_view characters) {
    const std::size_t last = text.find_last_not_of(characters);
    return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

std::string_view strip(std::string_view text, std::string_view characters) {
    return strip_left(strip_right(text, characters), characters);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

/// The system text that Qwen2.5's template puts where the chat has none.
std::optional<std::string> find_default_system(std::string_view text) {
    constexpr std::string_view opening = R"({{- '<|im_start|>system\n)";
    for (std::size_t at = text.find(opening); at != std::string_view::npos;
         at = text.find(opening, at + 1)) {
        const std::string_view rest = text.substr(at + opening.size());
        const std::size_t end = rest.find("<|im_end|>");
        if (!rest.starts_with('\'') && end != std::string_view::npos && end > 0) {
            return std::string(rest.substr(0, end));
        }
    }
    return std::nullopt;
}

bool is_qwen2_5(std::string_view text, const std::string& system) {
    std::string frame(text);
    replace_all(frame, system, "");
    return compute_sha256(frame) == qwen2_5_digest;
}

bool has_all(std::string_view text, std::initializer_list<std::string_view> marks) {
    return std::ranges::all_of(
        marks, [&](std::string_view mark) { return text.find(mark) != std::string_view::npos; });
}

/// A template without what may be written one way or another.
std::string squashed(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (white_space.find(c) == std::string_view::npos) {
            result.push_back(c == '"' ? '\'' : c);
        }
    }
    for (const auto& [from, to] : {std::pair("{%-", "{%"),
                                   std::pair("-%}", "%}"),
                                   std::pair("{{-", "{{"),
                                   std::pair("-}}", "}}"),
                                   std::pair("['role']", ".role"),
                                   std::pair("['content']", ".content"),
                                   std::pair("'+'", "")}) {
        replace_all(result, from, to);
    }
    return result;
}

constexpr std::string_view squashed_chatml =
    R"({%formessageinmessages%}{{'<|im_start|>'+message.role+'\n'+message.content+'<|im_end|>\n'}}{%endfor%}{%ifadd_generation_prompt%}{{'<|im_start|>assistant\n'}}{%endif%})";
constexpr std::string_view squashed_llama3 =
    R"({%setloop_messages=messages%}{%formessageinloop_messages%}{%setcontent='<|start_header_id|>'+message.role+'<|end_header_id|>\n\n'+message.content|trim+'<|eot_id|>'%}{%ifloop.index0==0%}{%setcontent=bos_token+content%}{%endif%}{{content}}{%endfor%}{%ifadd_generation_prompt%}{{'<|start_header_id|>assistant<|end_header_id|>\n\n'}}{%endif%})";

std::string turn(std::string_view role, std::string_view content) {
    return format("<|im_start|>{}\n{}<|im_end|>\n", role, content);
}

/// An assistant's turn in two: what is in the last pair of think marks, and what follows.
struct Thought {
    std::string reasoning;
    std::string content;
};

Thought take_apart(const ChatMessage& message, std::string_view content) {
    constexpr std::string_view close = "</think>";
    constexpr std::string_view open = "<think>";
    if (message.reasoning_content) {
        return {*message.reasoning_content, std::string(content)};
    }
    const std::size_t first = content.find(close);
    if (first == std::string_view::npos) {
        return {{}, std::string(content)};
    }
    std::string_view reasoning = strip_right(content.substr(0, first), "\n");
    const std::size_t begin = reasoning.rfind(open);
    if (begin != std::string_view::npos) {
        reasoning = reasoning.substr(begin + open.size());
    }
    const std::string_view rest = content.substr(content.rfind(close) + close.size());
    return {std::string(strip_left(reasoning, "\n")), std::string(strip_left(rest, "\n"))};
}

/// The last question that a user asked, or the last message where nobody did.
std::optional<std::size_t> find_last_query(std::span<const ChatMessage> messages) {
    for (std::size_t i = messages.size(); i-- > 0;) {
        const std::string_view content = messages[i].content;
        const bool is_tool_response =
            content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
        if (messages[i].role == "user" && !is_tool_response) {
            return i;
        }
    }
    return std::nullopt;
}

constexpr std::string_view assistant_opening = "<|im_start|>assistant\n";
constexpr std::string_view no_thought = "<think>\n\n</think>\n\n";

std::string render_qwen3(std::span<const ChatMessage> messages, const RenderOptions& options) {
    const std::size_t last_query = find_last_query(messages).value_or(messages.size() - 1);
    std::string text;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const ChatMessage& message = messages[i];
        if (message.role != "assistant") {
            text += turn(message.role, message.content);
            continue;
        }
        const Thought thought = take_apart(message, message.content);
        const bool is_last = i + 1 == messages.size();
        if (i > last_query && (is_last || !thought.reasoning.empty())) {
            text += turn("assistant",
                         format("<think>\n{}\n</think>\n\n{}",
                                strip(thought.reasoning, "\n"),
                                strip_left(thought.content, "\n")));
        } else {
            text += turn("assistant", thought.content);
        }
    }
    if (options.add_generation_prompt) {
        text += assistant_opening;
        text += options.enable_thinking.value_or(true) ? std::string_view() : no_thought;
    }
    return text;
}

std::string render_qwen3_5(std::span<const ChatMessage> messages,
                           const RenderOptions& options,
                           bool thinks_by_itself) {
    const std::optional<std::size_t> last_query = find_last_query(messages);
    if (!last_query) {
        throw Error(ErrorKind::usage, "the chat has no question of a user");
    }
    std::string text;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const ChatMessage& message = messages[i];
        const std::string_view content = strip(message.content, white_space);
        if (message.role == "system" && i > 0) {
            throw Error(ErrorKind::usage, "a system message comes after the first message");
        }
        if (message.role != "assistant") {
            text += turn(message.role, content);
            continue;
        }
        const Thought thought = take_apart(message, content);
        text += turn("assistant",
                     i > *last_query ? format("<think>\n{}\n</think>\n\n{}",
                                              strip(thought.reasoning, white_space),
                                              thought.content)
                                     : thought.content);
    }
    if (options.add_generation_prompt) {
        text += assistant_opening;
        text += options.enable_thinking.value_or(thinks_by_itself) ? std::string_view("<think>\n")
                                                                   : no_thought;
    }
    return text;
}

std::string render_llama3(std::span<const ChatMessage> messages, const RenderOptions& options) {
    const auto header = [](std::string_view role) {
        return format("<|start_header_id|>{}<|end_header_id|>\n\n", role);
    };
    std::string text = "<|begin_of_text|>";
    for (const ChatMessage& message : messages) {
        text += header(message.role);
        text += strip(message.content, white_space);
        text += "<|eot_id|>";
    }
    if (options.add_generation_prompt) {
        text += header("assistant");
    }
    return text;
}

}  // namespace

ChatTemplate ChatTemplate::of_form(Form form) {
    ChatTemplate result;
    result.form_ = form;
    if (form == Form::qwen2_5) {
        result.system_ = base_system;
    }
    return result;
}

ChatTemplate ChatTemplate::read(std::string_view raw, std::string_view name) {
    const std::string_view text = strip_right(raw, white_space);
    if (std::optional<std::string> system = find_default_system(text)) {
        const bool is_plain = system->find_first_of("\\'{}") == std::string::npos;
        if (is_plain && is_qwen2_5(text, *system)) {
            ChatTemplate result = of_form(Form::qwen2_5);
            result.system_ = std::move(*system);
            return result;
        }
    }
    const bool may_skip =
        has_all(text, {"enable_thinking is defined and enable_thinking is false"});
    const bool may_think =
        has_all(text, {"enable_thinking is defined and enable_thinking is true"});
    const bool is_qwen =
        has_all(text, {"<|im_start|>", "ns.last_query_index", "reasoning_content"});
    if (is_qwen && may_skip != may_think && has_all(text, {"render_content", "|trim"})) {
        ChatTemplate result = of_form(Form::qwen3_5);
        result.thinks_by_itself_ = may_skip;
        return result;
    }
    if (is_qwen && may_skip && !may_think &&
        has_all(text, {"loop.last or (not loop.last and reasoning_content)"})) {
        return of_form(Form::qwen3);
    }
    const std::string plain = squashed(text);
    if (plain == squashed_chatml) {
        return of_form(Form::chatml);
    }
    if (plain == squashed_llama3) {
        return of_form(Form::llama3);
    }
    throw Error(ErrorKind::unsupported,
                format("the chat template in {} is none of those that are known (chatml, qwen2.5, "
                       "qwen3, qwen3.5, llama3)",
                       in_quotes(name, 1000)));
}

ChatTemplate ChatTemplate::open(const std::filesystem::path& folder) {
    const std::filesystem::path own = folder / "chat_template.jinja";
    if (std::filesystem::exists(own)) {
        return read(io::read_text(own), own.string());
    }
    const std::filesystem::path shared = folder / "tokenizer_config.json";
    if (std::filesystem::exists(shared)) {
        const Json config = in_context([&] { return format("reading {}", shared.string()); },
                                       [&] { return Json::parse_python(io::read_text(shared)); });
        const Json* found = config.find("chat_template");
        if (found != nullptr && found->is_array()) {
            const Json::Array& named = found->as_array("chat_template");
            const auto standard = std::ranges::find_if(named, [](const Json& entry) {
                const Json* name = entry.find("name");
                return name != nullptr && *name == Json("default");
            });
            found = standard == named.end() ? nullptr : standard->find("template");
        }
        if (found != nullptr && !found->is_null()) {
            return read(found->as_string("chat_template"), shared.string());
        }
    }
    throw Error(ErrorKind::not_found,
                format("{} holds no chat template", in_quotes(folder.string(), 1000)));
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages,
                                 const RenderOptions& options) const {
    if (messages.empty()) {
        throw Error(ErrorKind::usage, "the chat has no messages");
    }
    for (const ChatMessage& message : messages) {
        if (message.role != "system" && message.role != "user" && message.role != "assistant") {
            throw Error(ErrorKind::unsupported,
                        format("messages of role {} are not supported", in_quotes(message.role)));
        }
    }
    switch (form_) {
        case Form::qwen3:
            return render_qwen3(messages, options);
        case Form::qwen3_5:
            return render_qwen3_5(messages, options, thinks_by_itself_);
        case Form::llama3:
            return render_llama3(messages, options);
        case Form::chatml:
        case Form::qwen2_5:
            break;
    }
    std::string text;
    if (form_ == Form::qwen2_5 && messages.front().role != "system") {
        text += turn("system", system_);
    }
    for (const ChatMessage& message : messages) {
        text += turn(message.role, message.content);
    }
    if (options.add_generation_prompt) {
        text += assistant_opening;
    }
    return text;
}

}  // namespace anamnesis::language
