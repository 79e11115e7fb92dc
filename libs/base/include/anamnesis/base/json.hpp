// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace anamnesis {

/// Receives JSON as it is read, so that a large header needs no tree. Numbers written as integers
/// that fit arrive as such; everything else as `real`. Throwing from an event ends the parse.
class JsonEvents {
public:
    virtual ~JsonEvents() = default;
    virtual void null() = 0;
    virtual void boolean(bool value) = 0;
    virtual void integer(std::int64_t value) = 0;  ///< negative integers only
    virtual void unsigned_integer(std::uint64_t value) = 0;
    virtual void real(double value) = 0;
    virtual void string(std::string& value) = 0;  ///< may be moved from
    virtual void begin_object() = 0;
    virtual void key(std::string& name) = 0;  ///< may be moved from
    virtual void end_object() = 0;
    virtual void begin_array() = 0;
    virtual void end_array() = 0;
};

struct JsonLimits {
    std::uint32_t max_depth = 64;
};

/// Reads one JSON document.
/// Errors: `malformed` for bad syntax, bad UTF-8 or deeper nesting than the limit.
void read_json(std::string_view text, JsonEvents& events, const JsonLimits& limits = {});

/// A JSON value whose objects keep the order of their keys.
class Json {
public:
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>;

    Json() = default;
    // NOLINTBEGIN(google-explicit-constructor): a literal reads as the value it is.
    Json(bool value) : value_(value) {}
    Json(int value) : value_(static_cast<std::int64_t>(value)) {}
    Json(std::int64_t value) : value_(value) {}
    Json(std::uint32_t value) : value_(static_cast<std::uint64_t>(value)) {}
    Json(std::uint64_t value) : value_(value) {}
    Json(double value) : value_(value) {}
    Json(const char* value) : value_(std::string(value)) {}
    Json(std::string_view value) : value_(std::string(value)) {}
    Json(std::string value) : value_(std::move(value)) {}
    Json(Array value) : value_(std::move(value)) {}
    Json(Object value) : value_(std::move(value)) {}
    // NOLINTEND(google-explicit-constructor)

    static Json object() { return Json(Object{}); }
    static Json array() { return Json(Array{}); }

    /// Errors: `malformed`, also for a duplicate key in an object.
    static Json parse(std::string_view text, const JsonLimits& limits = {});

    /// As `parse`, and takes Python's bare `NaN`, `Infinity` and `-Infinity` (read as null):
    /// config.json files of state-space models hold them.
    static Json parse_python(std::string_view text, const JsonLimits& limits = {});

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    bool is_boolean() const { return std::holds_alternative<bool>(value_); }
    bool is_number() const;
    bool is_string() const { return std::holds_alternative<std::string>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }

    /// The value, or `malformed` naming `what` where the type is another. Unsigned and signed
    /// readings accept any integer that fits; `as_double` accepts every number.
    bool as_boolean(std::string_view what) const;
    std::uint64_t as_unsigned(std::string_view what) const;
    std::int64_t as_integer(std::string_view what) const;
    double as_double(std::string_view what) const;
    const std::string& as_string(std::string_view what) const;
    const Array& as_array(std::string_view what) const;
    const Object& as_object(std::string_view what) const;

    /// The member, or null where there is none or this is no object.
    const Json* find(std::string_view key) const;
    /// Errors: `malformed` where the key is missing.
    const Json& at(std::string_view key) const;

    /// Adds or replaces a member; turns a null into an object first.
    void set(std::string_view key, Json value);
    /// Appends; turns a null into an array first.
    void push_back(Json value);

    /// Text in the order of the keys. `indent` < 0 gives one line. Numbers that JSON cannot hold
    /// are written as null.
    std::string dump(int indent = -1) const;

    friend bool operator==(const Json&, const Json&) = default;

private:
    void dump_to(std::string& text, int indent, int depth) const;

    std::variant<std::monostate,
                 bool,
                 std::int64_t,
                 std::uint64_t,
                 double,
                 std::string,
                 Array,
                 Object>
        value_;
};

}  // namespace anamnesis
