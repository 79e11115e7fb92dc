// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/string_match.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "json_lines.hpp"

namespace anamnesis::eval {
namespace {

std::vector<std::string> read_references(const Json& line) {
    std::vector<std::string> references;
    for (const Json& reference : line.at("references").as_array("references")) {
        references.push_back(reference.as_string("reference"));
    }
    return references;
}

TEST(StringMatch, AgreesWithRulersOwnEvaluation) {
    for (const Json& line : json_lines(ruler_testdata / "match.jsonl")) {
        const std::string text = ruler_postprocess(line.at("prediction").as_string("prediction"));
        EXPECT_EQ(text, line.at("postprocessed").as_string("postprocessed")) << line.dump();
        const auto references = read_references(line);
        EXPECT_EQ(ruler_percent(string_match_all(text, references)),
                  line.at("string_match_all").as_double("all"))
            << line.dump();
        EXPECT_EQ(ruler_percent(string_match_part(text, references)),
                  line.at("string_match_part").as_double("part"))
            << line.dump();
        EXPECT_EQ(text.empty(), line.at("null").as_boolean("null")) << line.dump();
    }
}

TEST(StringMatch, RoundsAsPythonDoes) {
    const Json file = Json::parse(io::read_text(ruler_testdata / "match_groups.json"));
    for (const Json& line : file.at("rounding").as_array("rounding")) {
        const double mean = line.at("right").as_double("right") / line.at("n").as_double("n");
        EXPECT_EQ(ruler_percent(mean), line.at("score").as_double("score")) << line.dump();
    }
}

TEST(StringMatch, GivesNothingWhereNothingIsAsked) {
    EXPECT_EQ(string_match_all("anything", {}), 0.0);
}

}  // namespace
}  // namespace anamnesis::eval
