// SPDX-License-Identifier: Apache-2.0
#include "json_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "operators.hpp"
#include "python_text.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

constexpr int most_nested = 200;

void append_unit(std::string& result, std::uint32_t unit) {
    result += format("\\u{:04x}", unit);
}

class JsonWriter {
public:
    explicit JsonWriter(const JsonStyle& style) : style_(style) {}

    void write(const Value& value, int depth) {
        if (depth > most_nested) {
            throw Error(ErrorKind::exhausted, "a value is nested too deeply for 'tojson'");
        }
        check_bytes(result_.size());
        const Sequence* sequence = value.sequence();
        if (value.text() != nullptr) {
            write_text(*value.text());
        } else if (value.dict() != nullptr) {
            write_dict(*value.dict(), depth);
        } else if (sequence != nullptr && (sequence->kind == Sequence::Kind::list ||
                                           sequence->kind == Sequence::Kind::tuple)) {
            write_list(sequence->items, depth);
        } else {
            result_ += write_scalar(value);
        }
    }

    std::string take() { return std::move(result_); }

private:
    static std::string write_scalar(const Value& value) {
        if (value.is_none()) {
            return "null";
        }
        if (const auto* flag = value.get_if<bool>()) {
            return *flag ? "true" : "false";
        }
        if (const auto* number = value.get_if<double>();
            number != nullptr && !std::isfinite(*number)) {
            return std::isnan(*number) ? "NaN" : *number < 0 ? "-Infinity" : "Infinity";
        }
        if (!value.is_number()) {
            throw Error(ErrorKind::usage,
                        format("'tojson' cannot write a value of type {}", value.type_name()));
        }
        return represent(value);
    }

    void write_text(std::string_view text) {
        result_.push_back('"');
        for (std::size_t at = 0; at < text.size();) {
            const char32_t code = next_character(text, at);
            write_character(code);
        }
        result_.push_back('"');
    }

    void write_character(char32_t code) {
        constexpr std::string_view special = "\"\\\n\r\t\f\b";
        constexpr std::string_view letters = "\"\\nrtfb";
        const std::size_t found =
            code < 0x80 ? special.find(static_cast<char>(code)) : std::string_view::npos;
        if (found != std::string_view::npos) {
            result_.push_back('\\');
            result_.push_back(letters[found]);
        } else if (code < 0x20 || (style_.is_ascii && code > 0x7E && code < 0x10000)) {
            append_unit(result_, code);
        } else if (style_.is_ascii && code >= 0x10000) {
            const std::uint32_t rest = static_cast<std::uint32_t>(code) - 0x10000;
            append_unit(result_, 0xD800 + (rest >> 10U));
            append_unit(result_, 0xDC00 + (rest & 0x3FFU));
        } else {
            append_utf8(result_, code);
        }
    }

    void break_line(int depth) {
        if (style_.indent) {
            result_.push_back('\n');
            for (int i = 0; i < depth; ++i) {
                result_ += *style_.indent;
            }
        }
    }

    void write_list(const std::vector<Value>& items, int depth) {
        result_.push_back('[');
        for (std::size_t i = 0; i < items.size(); ++i) {
            result_ += i == 0 ? "" : style_.item_separator;
            break_line(depth + 1);
            write(items[i], depth + 1);
        }
        if (!items.empty()) {
            break_line(depth);
        }
        result_.push_back(']');
    }

    static std::string name_key(const Value& key) {
        if (key.text() != nullptr) {
            return *key.text();
        }
        if (key.sequence() != nullptr || key.dict() != nullptr) {
            throw Error(ErrorKind::usage,
                        format("'tojson' cannot write a key of type {}", key.type_name()));
        }
        return write_scalar(key);
    }

    void write_dict(const Dict& dict, int depth) {
        std::vector<const std::pair<Value, Value>*> items;
        for (const auto& item : dict.items) {
            items.push_back(&item);
        }
        if (style_.sorts_keys) {
            std::ranges::stable_sort(
                items, [](const auto* a, const auto* b) { return is_less(a->first, b->first); });
        }
        result_.push_back('{');
        for (std::size_t i = 0; i < items.size(); ++i) {
            result_ += i == 0 ? "" : style_.item_separator;
            break_line(depth + 1);
            write_text(name_key(items[i]->first));
            result_ += style_.key_separator;
            write(items[i]->second, depth + 1);
        }
        if (!items.empty()) {
            break_line(depth);
        }
        result_.push_back('}');
    }

    const JsonStyle& style_;
    std::string result_{};
};

}  // namespace

std::string write_json(const Value& value, const JsonStyle& style) {
    JsonWriter writer(style);
    writer.write(value, 0);
    return writer.take();
}

}  // namespace anamnesis::language::jinja
