// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/json.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

void refuses(std::string_view text, std::string_view fact) {
    try {
        Json::parse(text);
        ADD_FAILURE() << text << " was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed) << text;
        EXPECT_THAT(error.what(), HasSubstr(std::string(fact))) << text;
    }
}

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

TEST(Json, KeepsTheOrderOfKeys) {
    const Json json = Json::parse(R"({"b":1,"a":{"d":2,"c":3}})");
    EXPECT_EQ(json.dump(), R"({"b":1,"a":{"d":2,"c":3}})");
}

TEST(Json, RefusesADuplicateKey) {
    refuses(R"({"a":1,"b":2,"a":3})", "duplicate JSON key 'a'");
    refuses(R"([{"x":{"a":1,"\u0061":3}}])", "duplicate JSON key 'a'");
}

TEST(Json, TakesTheSameKeyInDifferentObjects) {
    EXPECT_EQ(Json::parse(R"({"a":{"a":[{"a":1},{"a":2}]}})").dump(),
              R"({"a":{"a":[{"a":1},{"a":2}]}})");
}

TEST(Json, RefusesBadSyntaxAndSaysWhere) {
    refuses("", "at byte");
    refuses("{", "at byte 2");
    refuses("[1,]", "at byte 4");
    refuses("[1] 2", "at byte 5");
    refuses("{'a':1}", "at byte 2");
    refuses("// no\n1", "at byte 1");
    refuses("[NaN]", "at byte 2");
}

TEST(Json, RefusesBadUtf8) {
    refuses("\"\xC0\xAF\"", "at byte");
    refuses("\"\xED\xA0\x80\"", "at byte");
    refuses("\"\xFF\"", "at byte");
}

TEST(Json, KeepsTheDepthLimit) {
    EXPECT_TRUE(Json::parse(nested(64)).is_array());
    refuses(nested(65), "nested deeper than 64 levels");
    EXPECT_TRUE(Json::parse("[{}]", {.max_depth = 2}).is_array());
    EXPECT_THROW(Json::parse("[{}]", {.max_depth = 1}), Error);
    // Far beyond what a recursive reader would survive.
    EXPECT_THROW(Json::parse(std::string(10'000'000, '[')), Error);
}

TEST(Json, DoesNotCountSiblingsAsDepth) {
    EXPECT_EQ(Json::parse("[[],[],[]]", {.max_depth = 2}).as_array("list").size(), 3U);
}

TEST(Json, ReadsIntegersToTheirEdges) {
    EXPECT_EQ(Json::parse("18446744073709551615").as_unsigned("n"), most);
    EXPECT_EQ(Json::parse("-9223372036854775808").as_integer("n"), least);
    EXPECT_EQ(Json::parse("9223372036854775807").as_integer("n"),
              std::numeric_limits<std::int64_t>::max());
    EXPECT_THROW(static_cast<void>(Json::parse("9223372036854775808").as_integer("n")), Error);
    EXPECT_THROW(static_cast<void>(Json::parse("-1").as_unsigned("n")), Error);
}

TEST(Json, ReadsIntegersBeyondTheEdgesAsReals) {
    const Json above = Json::parse("18446744073709551616");
    EXPECT_EQ(above.as_double("n"), 0x1.0p64);
    EXPECT_THROW(static_cast<void>(above.as_unsigned("n")), Error);
    EXPECT_EQ(Json::parse("-9223372036854775809").as_double("n"), -0x1.0p63);
    refuses("1e400", "at byte");
}

TEST(Json, ReadsNegativeZeroAsAReal) {
    const Json zero = Json::parse("-0");
    EXPECT_TRUE(std::signbit(zero.as_double("n")));
    EXPECT_THROW(static_cast<void>(zero.as_unsigned("n")), Error);
    EXPECT_EQ(Json::parse(zero.dump()), zero);
}

TEST(Json, DoesNotTakeARealForAnInteger) {
    EXPECT_THROW(static_cast<void>(Json::parse("1.0").as_unsigned("n")), Error);
    EXPECT_THROW(static_cast<void>(Json::parse("1e2").as_integer("n")), Error);
    EXPECT_EQ(Json::parse("7").as_double("n"), 7.0);
}

TEST(Json, NamesWhatHasAnotherType) {
    const Json json = Json::parse(R"({"a":"text"})");
    const auto describe_refusal = [](const auto& read) {
        try {
            read();
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed);
            return error.message();
        }
        return std::string("no error");
    };
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.at("a").as_unsigned("size")); }),
              "size is not a non-negative integer");
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.at("a").as_boolean("flag")); }),
              "flag is not true or false");
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.as_array("map")); }),
              "map is not a list");
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.as_string("name")); }),
              "name is not a string");
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.at("a").as_object("map")); }),
              "map is not an object");
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.at("b")); }), "key 'b' is missing");
    EXPECT_EQ(describe_refusal([&] { static_cast<void>(json.at("a").at("b")); }),
              "key 'b' is missing");
}

TEST(Json, FindsNothingInWhatIsNoObject) {
    EXPECT_EQ(Json::parse("[1]").find("a"), nullptr);
    EXPECT_EQ(Json().find("a"), nullptr);
    EXPECT_EQ(Json::parse(R"({"a":null})").find("b"), nullptr);
    ASSERT_NE(Json::parse(R"({"a":null})").find("a"), nullptr);
}

TEST(Json, ReadsPythonsBareFloatsAsNull) {
    EXPECT_EQ(Json::parse_python("NaN"), Json());
    EXPECT_EQ(Json::parse_python(R"({"a":NaN,"b":[Infinity,-Infinity, 1.5]})").dump(),
              R"({"a":null,"b":[null,null,1.5]})");
}

TEST(Json, LeavesPythonsFloatsInsideStringsAlone) {
    constexpr std::string_view text = R"({"NaN":"Infinity \" -Infinity","b\\":"NaN"})";
    EXPECT_EQ(Json::parse_python(text), Json::parse(text));
    EXPECT_EQ(Json::parse_python(R"({"a\\":NaN})").dump(), R"({"a\\":null})");
}

TEST(Json, RefusesPythonsFloatsThatTouchOtherText) {
    for (const char* text : {"[1NaN]", "[NaN1]", "[-NaN]", "[+Infinity]", "[NaNNaN]", "[nan]"}) {
        EXPECT_THROW(Json::parse_python(text), Error) << text;
    }
    EXPECT_THROW(Json::parse_python("\"NaN\\"), Error);
}

TEST(Json, ReadsBackWhatItWrites) {
    Json json = Json::object();
    json.set("text", "a\"b\\c\n\u00e9\x01");
    json.set("null", Json());
    json.set("list", Json::Array{Json(true), Json(false), Json::array(), Json::object()});
    json.set("numbers",
             Json::Array{Json(most),
                         Json(least),
                         Json(0.1),
                         Json(5e-324),
                         Json(std::numeric_limits<double>::max()),
                         Json(-2.0)});
    EXPECT_EQ(Json::parse(json.dump()), json);
    EXPECT_EQ(Json::parse(json.dump(2)), json);
}

TEST(Json, WritesNumbersThatJsonCannotHoldAsNull) {
    EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
    EXPECT_EQ(Json(std::numeric_limits<double>::quiet_NaN()).dump(), "null");
}

TEST(Json, IndentsWhereAsked) {
    EXPECT_EQ(Json::parse(R"({"a":[1,{}],"b":[]})").dump(2),
              "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(Json, SetsReplacesAndAppends) {
    Json json;
    json.set("a", 1);
    json.set("b", 2);
    json.set("a", "new");
    EXPECT_EQ(json.dump(), R"({"a":"new","b":2})");
    Json list;
    list.push_back(1);
    list.push_back(Json());
    EXPECT_EQ(list.dump(), "[1,null]");
}

TEST(Json, RefusesToSetOnWhatIsNoObject) {
    Json list = Json::array();
    try {
        list.set("a", 1);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::internal);
    }
}

/// Writes down each event.
class Recorder final : public JsonEvents {
public:
    std::vector<std::string> events;

    void null() override { events.emplace_back("null"); }
    void boolean(bool value) override { events.emplace_back(value ? "true" : "false"); }
    void integer(std::int64_t value) override { events.push_back("i" + std::to_string(value)); }
    void unsigned_integer(std::uint64_t value) override {
        events.push_back("u" + std::to_string(value));
    }
    void real(double /*value*/) override { events.emplace_back("real"); }
    void string(std::string& value) override { events.push_back("'" + value); }
    void begin_object() override { events.emplace_back("{"); }
    void key(std::string& name) override { events.push_back(name + ":"); }
    void end_object() override { events.emplace_back("}"); }
    void begin_array() override { events.emplace_back("["); }
    void end_array() override { events.emplace_back("]"); }
};

TEST(ReadJson, TellsEventsInOrder) {
    Recorder recorder;
    read_json(R"({"a":[1,-1,-0,1.5,null,true],"a":"x"})", recorder);
    EXPECT_THAT(
        recorder.events,
        ElementsAre(
            "{", "a:", "[", "u1", "i-1", "real", "real", "null", "true", "]", "a:", "'x", "}"));
}

}  // namespace
}  // namespace anamnesis
