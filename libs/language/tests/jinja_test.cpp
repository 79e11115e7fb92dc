// SPDX-License-Identifier: Apache-2.0
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/language/chat_template.hpp"

#include "jinja/template.hpp"

namespace anamnesis::language::jinja {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path data = std::filesystem::path(ANAMNESIS_TESTDATA) / "chat_templates";

std::tm a_day() {
    std::tm day{};
    day.tm_year = 126;
    day.tm_mon = 10;
    day.tm_mday = 28;
    day.tm_wday = 6;
    return day;
}

std::string render(std::string_view text,
                   std::string_view variables = "{}",
                   const Limits& limits = {}) {
    const Value values = Value::read(Json::parse(variables));
    return Template(text).render(*values.dict(), a_day, limits);
}

/// The kind and the text of the error that a template ends with.
std::pair<ErrorKind, std::string> refusal(std::string_view text, const Limits& limits = {}) {
    try {
        return {ErrorKind::internal, "rendered " + render(text, "{}", limits)};
    } catch (const Error& error) {
        return {error.kind(), error.message()};
    }
}

std::string read_text_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST(JinjaTemplates, EqualJinjaOnRandomTemplates) {
    const std::string variables = read_text_file(data / "variables.json");
    std::ifstream file(data / "random.jsonl");
    std::string text;
    int rendered = 0;
    int refused = 0;
    int refused_here_alone = 0;
    while (std::getline(file, text)) {
        const Json line = Json::parse(text);
        const std::string& source = line.at("template").as_string("template");
        const Json& wanted = line.at("text");
        try {
            const std::string ours = render(source, variables);
            ASSERT_TRUE(wanted.is_string())
                << source << "\n is refused by Jinja, and gives " << ours;
            EXPECT_EQ(ours, wanted.as_string("text")) << source;
            ++rendered;
        } catch (const Error&) {
            (wanted.is_null() ? refused : refused_here_alone) += 1;
        }
    }
    EXPECT_EQ(rendered + refused + refused_here_alone, 1490);
    EXPECT_GT(rendered, 600);
    EXPECT_LT(refused_here_alone, 5);
}

TEST(JinjaTemplates, RenderTheFormsOfFamiliesAsTransformers) {
    std::ifstream file(data / "families.jsonl");
    std::string text;
    int lines = 0;
    while (std::getline(file, text)) {
        ++lines;
        const Json line = Json::parse(text);
        const std::string family = line.at("family").as_string("family");
        const ChatTemplate chat =
            ChatTemplate::read(read_text_file(data / "families" / (family + ".jinja")),
                               family,
                               Json::Object{{"bos_token", "<s>"}, {"eos_token", "</s>"}});
        RenderOptions options{.add_generation_prompt =
                                  line.at("add_generation_prompt").as_boolean("prompt")};
        if (const Json* thinking = line.find("enable_thinking")) {
            options.enable_thinking = thinking->as_boolean("thinking");
        }
        if (const Json* tools = line.find("tools")) {
            options.variables = Json::Object{{"tools", *tools}};
        }
        // What the clock says is not what it said when the lines were made.
        const bool has_clock = family == "llama3_1" || family == "gpt_oss";
        options.variables.set("date_string", "28 Nov 2026");
        if (line.find("text") == nullptr) {
            EXPECT_THROW(static_cast<void>(chat.render(line.at("messages"), options)), Error)
                << text;
        } else if (!has_clock || family == "llama3_1") {
            EXPECT_EQ(chat.render(line.at("messages"), options), line.at("text").as_string("text"))
                << family << ", line " << lines;
        }
    }
    EXPECT_EQ(lines, 480);
}

TEST(JinjaTemplates, KnowTheDay) {
    EXPECT_EQ(render("{{ strftime_now('%d %b %Y, %A') }}"), "28 Nov 2026, Saturday");
    EXPECT_EQ(refusal("{{ strftime_now('%f') }}").first, ErrorKind::unsupported);
}

TEST(JinjaTemplates, NameTheLineOfWhatTheyRefuse) {
    EXPECT_EQ(refusal("a\n{% import 'x' %}"),
              std::pair(ErrorKind::unsupported,
                        std::string("line 2: the tag 'import' is not supported")));
    EXPECT_EQ(refusal("\n\n{{ 'a' | pprint }}"),
              std::pair(ErrorKind::unsupported,
                        std::string("line 3: the filter 'pprint' is not supported")));
    EXPECT_EQ(refusal("{% for x in [1] %}\n{{ x.y.z }}{% endfor %}"),
              std::pair(ErrorKind::usage,
                        std::string("line 2: a value of type int has no attribute 'y'")));
    EXPECT_THAT(refusal("{% if x %}").second, HasSubstr("'endif' is expected"));
    EXPECT_THAT(refusal("{{ x").second, HasSubstr("the tag that begins here does not end"));
    EXPECT_THAT(refusal("{{ raise_exception('no tools') }}").second, HasSubstr("no tools"));
}

TEST(JinjaTemplates, DoNotChangeWhatTheyAreGiven) {
    EXPECT_EQ(refusal("{% set x = [1] %}{{ x.append(2) }}").first, ErrorKind::usage);
    EXPECT_EQ(refusal("{% set x = {} %}{{ x.update(a=2) }}").first, ErrorKind::usage);
    EXPECT_EQ(render("{{ ''.__class__ }}"), "");
    EXPECT_EQ(render("{{ none | map('upper') | list }}{{ none | select('string') | list }}"
                     "{{ none | rejectattr('a') | list }}"),
              "[][][]");
    EXPECT_EQ(render("{% macro f(a, b=1) %}{{ kwargs }}{% endmacro %}"
                     "{{ f.name }} {{ f.arguments }} {{ f.catch_kwargs }} {{ f.catch_varargs }}"),
              "f ('a', 'b') True False");
    EXPECT_EQ(refusal("{{ ''.__class__.__mro__ }}").first, ErrorKind::usage);
}

TEST(JinjaTemplates, AreStoppedWhereTheyNeverEnd) {
    const Limits small{.steps = 100'000};
    const auto expect_stopped = [&](std::string_view text) {
        EXPECT_EQ(refusal(text, small).first, ErrorKind::exhausted) << text;
    };
    expect_stopped("{{ 'x' * 100000000 }}");
    expect_stopped("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    expect_stopped(
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}");
    expect_stopped(
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}"
        "{% set ns.x = ns.x ~ ns.x %}{% endfor %}");
    expect_stopped(
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}"
        "{% set ns.x = ns.x + ns.x %}{% endfor %}");
    expect_stopped("{{ 'ab' * 999999999 }}");
    expect_stopped("{{ 'a'|center(999999999) }}");
    expect_stopped("{{ ('a' * 9999).replace('a', 'b' * 99999) }}");
    EXPECT_EQ(refusal("{{ range(999999999) }}").first, ErrorKind::usage);
    const std::string brackets(100'000, '(');
    EXPECT_EQ(refusal("{{ " + brackets + " }}").first, ErrorKind::malformed);
    std::string blocks;
    for (int i = 0; i < 10'000; ++i) {
        blocks += "{% if 1 %}";
    }
    EXPECT_EQ(refusal(blocks).first, ErrorKind::malformed);
}

TEST(JinjaTemplates, LetGoOfWhatHoldsItself) {
    // Leaks are found by the sanitizer.
    EXPECT_EQ(render("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}"
                     "{% macro f() %}{{ f is callable }}{% endmacro %}{% set a.f = f %}{{ f() }}"),
              "True");
}

}  // namespace
}  // namespace anamnesis::language::jinja
