// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/report/document.hpp"
#include "anamnesis/report/text_table.hpp"

#include "heat_map.hpp"

namespace anamnesis::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Html, EscapesEveryText) {
    const Document document{
        .title = "<b>\"title\"&",
        .subtitle = "<i>",
        .blocks = {
            Paragraph{"<script>alert(1)</script>"},
            Table{.caption = "<u>", .columns = {"<c>"}, .is_number = {}, .rows = {{"<d>"}}}}};
    const std::string html = to_html(document);
    for (const char* raw : {"<script>", "<i>", "<u>", "<c>", "<d>"}) {
        EXPECT_THAT(html, Not(HasSubstr(raw)));
    }
    EXPECT_THAT(html, HasSubstr("&lt;b&gt;&quot;title&quot;&amp;"));
}

TEST(Tables, EscapeControlBytesOfNames) {
    const std::string name = "a\x1b[2J\nb\r\x7f";
    const std::string escaped = R"(a\x1b[2J\x0ab\x0d\x7f)";
    const Document document{
        .title = name,
        .subtitle = {},
        .blocks = {Table{.caption = {}, .columns = {"c"}, .is_number = {}, .rows = {{name}}},
                   Details{.summary = {}, .texts = {"one\ntwo"}}}};
    const std::string html = to_html(document);
    EXPECT_THAT(html, HasSubstr("<td>" + escaped + "</td>"));
    EXPECT_THAT(html, HasSubstr("one\ntwo"));
    EXPECT_THAT(text_table({"name"}, {{name}}), HasSubstr(escaped + "\n"));
    for (const std::string& text :
         {html, to_markdown(document), text_table({"name"}, {{name}, {"other"}})}) {
        EXPECT_THAT(text, Not(HasSubstr("\x1b")));
        EXPECT_THAT(text, Not(HasSubstr("\r")));
        EXPECT_THAT(text, Not(HasSubstr("\x7f")));
    }
}

TEST(Html, LoadsNothingFromElsewhere) {
    const std::string html = to_html({.title = "t", .subtitle = {}, .blocks = {}});
    EXPECT_THAT(html, Not(HasSubstr("http")));
    EXPECT_THAT(html, Not(HasSubstr("<script")));
    EXPECT_THAT(html, HasSubstr("prefers-color-scheme: dark"));
}

TEST(HeatMap, NamesEveryCellAndMarksAbsentOnes) {
    const HeatMap map{.caption = "drift",
                      .row_label = "layer",
                      .column_label = "head",
                      .rows = {"3"},
                      .columns = {"0", "1"},
                      .values = {{0.5, std::nullopt}},
                      .low = 0.0,
                      .high = 1.0};
    const std::string html = heat_map_html(map);
    EXPECT_THAT(html, HasSubstr("layer 3, head 0: 0.5"));
    EXPECT_THAT(html, HasSubstr("layer 3, head 1: not measured"));
}

TEST(HeatMap, ScaleRisesInLightness) {
    const auto lightness = [](double share) {
        const std::string colour = scale_colour(share);
        const auto channel = [&](std::size_t at) {
            return std::stoi(colour.substr(at, 2), nullptr, 16);
        };
        return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
    };
    for (int i = 0; i < 20; ++i) {
        EXPECT_LT(lightness(i / 20.0), lightness((i + 1) / 20.0));
    }
}

TEST(Bars, DrawsTheLargestAtFullLength) {
    const std::string html =
        bars_html({.caption = "c",
                   .bars = {{.label = "q", .value = 2.0, .is_emphasised = true},
                            {.label = "v", .value = 1.0}}});
    EXPECT_THAT(html, HasSubstr("width=\"420.0\""));
    EXPECT_THAT(html, HasSubstr("width=\"210.0\""));
}

}  // namespace
}  // namespace anamnesis::report
