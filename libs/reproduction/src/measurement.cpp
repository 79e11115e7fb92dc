// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/measurement.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"

namespace anamnesis::reproduction {
namespace {

using train::synthetic::Exactness;

/// "1101": one digit a sample.
Json to_digits(const Exactness& exactness) {
    std::string digits;
    for (const bool is_right : exactness.outcomes) {
        digits += is_right ? '1' : '0';
    }
    return digits;
}

Exactness read_digits(const Json& json) {
    Exactness exactness;
    for (const char digit : json.as_string("outcomes")) {
        if (digit != '0' && digit != '1') {
            throw Error(ErrorKind::malformed,
                        format("outcomes hold {}, expected 0 and 1", in_quotes({&digit, 1})));
        }
        exactness.outcomes.push_back(digit == '1');
    }
    return exactness;
}

}  // namespace

const Exactness& Measurement::recall_answers(std::size_t needle, std::size_t length) const {
    const auto found = std::ranges::find(lengths, length);
    if (found == lengths.end()) {
        throw Error(ErrorKind::internal, format("recall at {} tokens was not measured", length));
    }
    return recall.at(needle).at(static_cast<std::size_t>(found - lengths.begin()));
}

double Measurement::recall_percent(std::size_t needle, std::size_t length) const {
    return recall_answers(needle, length).percent();
}

double Measurement::recall_percent(std::size_t length) const {
    double sum = 0.0;
    for (std::size_t needle = 0; needle < needles.size(); ++needle) {
        sum += recall_percent(needle, length);
    }
    return sum / static_cast<double>(needles.size());
}

std::size_t count_parts(const Questions& questions) {
    return needles.size() * questions.lengths.size() + 1;
}

Measurement measure(const runtime::Network& network,
                    const Questions& questions,
                    const Watch& watch) {
    Measurement measurement{.lengths = questions.lengths};
    for (std::size_t i = 0; i < needles.size(); ++i) {
        for (const std::size_t length : questions.lengths) {
            measurement.recall.at(i).push_back(train::synthetic::recall(network,
                                                                        needles.at(i).needle,
                                                                        length,
                                                                        questions.recall_samples,
                                                                        questions.seed,
                                                                        watch));
            watch.progress().advance(1);
        }
    }
    measurement.reasoning =
        train::synthetic::reasoning(network, questions.reasoning_samples, questions.seed, watch);
    watch.progress().advance(1);
    return measurement;
}

Json to_json(const Measurement& measurement) {
    Json json = Json::object();
    for (std::size_t i = 0; i < needles.size(); ++i) {
        Json lengths = Json::object();
        for (std::size_t k = 0; k < measurement.lengths.size(); ++k) {
            lengths.set(format("{}", measurement.lengths[k]),
                        to_digits(measurement.recall.at(i).at(k)));
        }
        json.set(needles.at(i).name, std::move(lengths));
    }
    json.set("reasoning", to_digits(measurement.reasoning));
    return json;
}

Measurement read_measurement(const Json& json) {
    Measurement measurement;
    for (std::size_t i = 0; i < needles.size(); ++i) {
        const auto& lengths = json.at(needles.at(i).name).as_object("lengths");
        for (const auto& [length, digits] : lengths) {
            if (i == 0) {
                measurement.lengths.push_back(
                    Json::parse(length).as_unsigned("a length of haystacks"));
            }
            measurement.recall.at(i).push_back(read_digits(digits));
        }
        if (lengths.size() != measurement.lengths.size()) {
            throw Error(ErrorKind::malformed, "needles were measured at different lengths");
        }
    }
    measurement.reasoning = read_digits(json.at("reasoning"));
    return measurement;
}

}  // namespace anamnesis::reproduction
