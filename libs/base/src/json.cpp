// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/detail/exceptions.hpp>
#include <nlohmann/detail/input/json_sax.hpp>
#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis {
namespace {

/// Hands the library's events on and keeps the depth limit.
class Adapter final : public nlohmann::json_sax<nlohmann::json> {
public:
    Adapter(JsonEvents& events, const JsonLimits& limits) : events_(events), limits_(limits) {}

    bool null() override {
        events_.null();
        return true;
    }
    bool boolean(bool value) override {
        events_.boolean(value);
        return true;
    }
    bool number_integer(std::int64_t value) override {
        // "-0" is no integer: its sign would be lost.
        if (value == 0) {
            events_.real(-0.0);
        } else {
            events_.integer(value);
        }
        return true;
    }
    bool number_unsigned(std::uint64_t value) override {
        events_.unsigned_integer(value);
        return true;
    }
    bool number_float(double value, const std::string& /*text*/) override {
        events_.real(value);
        return true;
    }
    bool string(std::string& value) override {
        events_.string(value);
        return true;
    }
    bool binary(binary_t& /*value*/) override { return false; }
    bool start_object(std::size_t /*size*/) override {
        enter();
        events_.begin_object();
        return true;
    }
    bool key(std::string& name) override {
        events_.key(name);
        return true;
    }
    bool end_object() override {
        --depth_;
        events_.end_object();
        return true;
    }
    bool start_array(std::size_t /*size*/) override {
        enter();
        events_.begin_array();
        return true;
    }
    bool end_array() override {
        --depth_;
        events_.end_array();
        return true;
    }
    bool parse_error(std::size_t position,
                     const std::string& /*token*/,
                     const nlohmann::detail::exception& error) override {
        std::string_view reason = error.what();
        if (const auto colon = reason.find(": "); colon != std::string_view::npos) {
            reason.remove_prefix(colon + 2);
        }
        throw Error(ErrorKind::malformed,
                    format("not valid JSON at byte {}: {}", position, in_quotes(reason, 200)));
    }

private:
    void enter() {
        if (++depth_ > limits_.max_depth) {
            throw Error(ErrorKind::malformed,
                        format("JSON is nested deeper than {} levels", limits_.max_depth));
        }
    }

    JsonEvents& events_;
    JsonLimits limits_;
    std::uint32_t depth_ = 0;
};

/// Builds the tree and refuses duplicate keys.
class TreeBuilder final : public JsonEvents {
public:
    void null() override { put(Json()); }
    void boolean(bool value) override { put(Json(value)); }
    void integer(std::int64_t value) override { put(Json(value)); }
    void unsigned_integer(std::uint64_t value) override { put(Json(value)); }
    void real(double value) override { put(Json(value)); }
    void string(std::string& value) override { put(Json(std::move(value))); }
    void begin_object() override { open_.push_back({Json::object(), {}, {}}); }
    void begin_array() override { open_.push_back({Json::array(), {}, {}}); }
    void key(std::string& name) override {
        Frame& frame = open_.back();
        if (!frame.seen.insert(name).second) {
            throw Error(ErrorKind::malformed,
                        format("duplicate JSON key {} in one object", in_quotes(name)));
        }
        frame.key = std::move(name);
    }
    void end_object() override { close(); }
    void end_array() override { close(); }

    Json take() { return std::move(root_); }

private:
    struct Frame {
        Json value;
        std::string key;
        std::unordered_set<std::string> seen;
    };

    void close() {
        Json value = std::move(open_.back().value);
        open_.pop_back();
        put(std::move(value));
    }
    void put(Json value) {
        if (open_.empty()) {
            root_ = std::move(value);
        } else if (open_.back().value.is_array()) {
            open_.back().value.push_back(std::move(value));
        } else {
            // `seen` has checked the key, so the members need no search.
            append_member(open_.back().value, std::move(open_.back().key), std::move(value));
        }
    }
    static void append_member(Json& object, std::string key, Json value) {
        auto& members = const_cast<Json::Object&>(object.as_object("object"));
        members.emplace_back(std::move(key), std::move(value));
    }

    std::vector<Frame> open_;
    Json root_;
};

/// Replaces Python's bare NaN and Infinity outside strings by null. What touches other text is left
/// for the parser to refuse.
std::string without_python_floats(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    bool in_string = false;
    while (!text.empty()) {
        std::size_t taken = 1;
        std::string_view replacement = text.substr(0, 1);
        if (in_string && text.front() == '\\') {
            taken = std::min<std::size_t>(2, text.size());
            replacement = text.substr(0, taken);
        } else if (text.front() == '"') {
            in_string = !in_string;
        } else if (!in_string) {
            for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
                if (text.starts_with(word)) {
                    taken = word.size();
                    replacement = "null";
                    break;
                }
            }
        }
        result += replacement;
        text.remove_prefix(taken);
    }
    return result;
}

/// A string or number as the library spells it: escapes, and the shortest digits that round back.
template <class Value>
std::string spell(const Value& value) {
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void new_line(std::string& text, int indent, int depth) {
    if (indent >= 0) {
        text += '\n';
        text.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth), ' ');
    }
}

[[noreturn]] void wrong_type(std::string_view what, std::string_view expected) {
    throw Error(ErrorKind::malformed, format("{} is not {}", what, expected));
}

}  // namespace

void read_json(std::string_view text, JsonEvents& events, const JsonLimits& limits) {
    Adapter adapter(events, limits);
    nlohmann::json::sax_parse(text.begin(), text.end(), &adapter);
}

Json Json::parse(std::string_view text, const JsonLimits& limits) {
    TreeBuilder builder;
    read_json(text, builder, limits);
    return builder.take();
}

Json Json::parse_python(std::string_view text, const JsonLimits& limits) {
    return parse(without_python_floats(text), limits);
}

bool Json::is_number() const {
    return std::holds_alternative<std::int64_t>(value_) ||
           std::holds_alternative<std::uint64_t>(value_) || std::holds_alternative<double>(value_);
}

bool Json::as_boolean(std::string_view what) const {
    if (const auto* value = std::get_if<bool>(&value_)) {
        return *value;
    }
    wrong_type(what, "true or false");
}

std::uint64_t Json::as_unsigned(std::string_view what) const {
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) {
        return *value;
    }
    if (const auto* value = std::get_if<std::int64_t>(&value_); value != nullptr && *value >= 0) {
        return static_cast<std::uint64_t>(*value);
    }
    wrong_type(what, "a non-negative integer");
}

std::int64_t Json::as_integer(std::string_view what) const {
    if (const auto* value = std::get_if<std::int64_t>(&value_)) {
        return *value;
    }
    if (const auto* value = std::get_if<std::uint64_t>(&value_);
        value != nullptr &&
        *value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return static_cast<std::int64_t>(*value);
    }
    wrong_type(what, "an integer");
}

double Json::as_double(std::string_view what) const {
    if (const auto* value = std::get_if<double>(&value_)) {
        return *value;
    }
    if (const auto* value = std::get_if<std::int64_t>(&value_)) {
        return static_cast<double>(*value);
    }
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) {
        return static_cast<double>(*value);
    }
    wrong_type(what, "a number");
}

const std::string& Json::as_string(std::string_view what) const {
    if (const auto* value = std::get_if<std::string>(&value_)) {
        return *value;
    }
    wrong_type(what, "a string");
}

const Json::Array& Json::as_array(std::string_view what) const {
    if (const auto* value = std::get_if<Array>(&value_)) {
        return *value;
    }
    wrong_type(what, "a list");
}

const Json::Object& Json::as_object(std::string_view what) const {
    if (const auto* value = std::get_if<Object>(&value_)) {
        return *value;
    }
    wrong_type(what, "an object");
}

const Json* Json::find(std::string_view key) const {
    if (const auto* object = std::get_if<Object>(&value_)) {
        for (const auto& [name, value] : *object) {
            if (name == key) {
                return &value;
            }
        }
    }
    return nullptr;
}

const Json& Json::at(std::string_view key) const {
    if (const Json* value = find(key)) {
        return *value;
    }
    throw Error(ErrorKind::malformed, format("key {} is missing", in_quotes(key)));
}

void Json::set(std::string_view key, Json value) {
    if (is_null()) {
        value_ = Object{};
    }
    auto* object = std::get_if<Object>(&value_);
    ANAMNESIS_CHECK(object != nullptr, "a member was set on a JSON value that is no object");
    for (auto& [name, member] : *object) {
        if (name == key) {
            member = std::move(value);
            return;
        }
    }
    object->emplace_back(std::string(key), std::move(value));
}

void Json::push_back(Json value) {
    if (is_null()) {
        value_ = Array{};
    }
    auto* array = std::get_if<Array>(&value_);
    ANAMNESIS_CHECK(array != nullptr, "an element was appended to a JSON value that is no list");
    array->push_back(std::move(value));
}

std::string Json::dump(int indent) const {
    std::string text;
    dump_to(text, indent, 0);
    return text;
}

void Json::dump_to(std::string& text, int indent, int depth) const {
    const auto list = [&](const auto& elements, char open, char close, const auto& write) {
        text += open;
        bool is_first = true;
        for (const auto& element : elements) {
            text += is_first ? "" : ",";
            is_first = false;
            new_line(text, indent, depth + 1);
            write(element);
        }
        if (!is_first) {
            new_line(text, indent, depth);
        }
        text += close;
    };
    if (const auto* object = std::get_if<Object>(&value_)) {
        list(*object, '{', '}', [&](const Member& member) {
            text += spell(member.first);
            text += indent >= 0 ? ": " : ":";
            member.second.dump_to(text, indent, depth + 1);
        });
    } else if (const auto* array = std::get_if<Array>(&value_)) {
        list(*array, '[', ']', [&](const Json& element) {
            element.dump_to(text, indent, depth + 1);
        });
    } else if (const auto* string = std::get_if<std::string>(&value_)) {
        text += spell(*string);
    } else if (const auto* real = std::get_if<double>(&value_)) {
        text += std::isfinite(*real) ? spell(*real) : "null";
    } else if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
        text += spell(*integer);
    } else if (const auto* natural = std::get_if<std::uint64_t>(&value_)) {
        text += spell(*natural);
    } else if (const auto* boolean = std::get_if<bool>(&value_)) {
        text += *boolean ? "true" : "false";
    } else {
        text += "null";
    }
}

}  // namespace anamnesis
