// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/python_random.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "json_lines.hpp"

namespace anamnesis::eval {
namespace {

Json to_json(const std::vector<std::size_t>& values) {
    Json list = Json::array();
    for (const std::size_t value : values) {
        list.push_back(std::int64_t(value));
    }
    return list;
}

/// One value of a recorded stream, drawn anew.
Json draw(PythonRandom& random, const Json& line) {
    const std::string& call = line.at("call").as_string("call");
    const auto number = [&](const char* key) { return line.at(key).as_unsigned(key); };
    if (call == "getrandbits") {
        return std::int64_t(random.bits(unsigned(number("bits"))));
    }
    if (call == "randint") {
        const std::int64_t low = line.at("low").as_integer("low");
        const std::int64_t high = line.at("high").as_integer("high");
        return low + std::int64_t(random.below(std::uint64_t(high - low) + 1));
    }
    if (call == "random") {
        return random.uniform();
    }
    if (call == "choice_index") {
        return std::int64_t(random.below(number("n")));
    }
    if (call == "sample_range") {
        return to_json(random.sample(number("n"), number("k")));
    }
    if (call == "sample_depths") {
        const Json& population = line.at("population");
        const auto& values = population.as_array("population");
        Json list = Json::array();
        for (const std::size_t i : random.sample(values.size(), number("k"))) {
            list.push_back(values[i]);
        }
        return list;
    }
    if (call == "shuffle") {
        std::vector<std::size_t> order(number("n"));
        for (std::size_t i = 0; i < order.size(); ++i) {
            order[i] = i;
        }
        random.shuffle(order);
        return to_json(order);
    }
    if (call == "uuid4") {
        return random.uuid4();
    }
    if (call == "getrandbits_hex" && number("bits") % 32 == 0) {
        std::string text;
        for (std::uint64_t i = 0; i < number("bits") / 32; ++i) {
            text.insert(0, format("{:08x}", random.next_u32()));
        }
        return text;
    }
    return {};
}

TEST(PythonRandom, ContinuesTheStreamsThatCPythonRecorded) {
    std::size_t streams = 0;
    for (const Json& line : json_lines(ruler_testdata / "random.jsonl")) {
        PythonRandom random(line.at("seed").as_unsigned("seed"));
        const auto& values = line.at("values").as_array("values");
        bool is_known = true;
        for (const Json& value : values) {
            const Json drawn = draw(random, line);
            is_known = is_known && !drawn.is_null();
            if (is_known) {
                ASSERT_EQ(drawn.dump(), value.dump()) << line.dump().substr(0, 200);
            }
        }
        if (is_known) {
            ASSERT_EQ(random.next_u32(), line.at("next_u32").as_unsigned("next_u32"))
                << line.dump().substr(0, 200);
            ++streams;
        }
    }
    EXPECT_GT(streams, 150U);
}

TEST(PythonRandom, ShufflesNeedlesAsAFreshGeneratorOfTheSeed) {
    for (const Json& line : json_lines(ruler_testdata / "needle_shuffle.jsonl")) {
        std::vector<std::size_t> order(line.at("n").as_unsigned("n"));
        for (std::size_t i = 0; i < order.size(); ++i) {
            order[i] = i;
        }
        PythonRandom(line.at("seed").as_unsigned("seed")).shuffle(order);
        EXPECT_EQ(to_json(order).dump(), line.at("order").dump()) << line.dump();
    }
}

TEST(PythonRandom, RefusesASampleLargerThanItsPopulation) {
    PythonRandom random(1);
    try {
        random.sample(3, 4);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
}

}  // namespace
}  // namespace anamnesis::eval
