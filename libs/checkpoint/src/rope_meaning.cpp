// SPDX-License-Identifier: Apache-2.0
#include "rope_meaning.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Of RotaryDefaults where a family states none: what every such config class fills in.
constexpr double usual_theta = 10'000.0;

/// Nine digits: a magnitude that a library computed and wrote equals one that is computed here.
Json plain_number(double value) {
    return format("{:.9g}", value);
}

Json plain_value(const Json& value) {
    if (value.is_number()) {
        return plain_number(value.as_double("rope scaling"));
    }
    if (value.is_array()) {
        Json list = Json::array();
        for (const Json& element : value.as_array("rope scaling")) {
            list.push_back(plain_value(element));
        }
        return list;
    }
    return value;
}

std::optional<double> find_number(const Json& scaling, std::string_view key) {
    const Json* value = scaling.find(key);
    return value == nullptr || value->is_null() ? std::nullopt
                                                : std::optional(number_from(*value, key));
}

std::string read_type(const Json& scaling) {
    const Json* value = scaling.find("rope_type");
    const std::string type = value != nullptr && value->is_string() ? value->as_string("rope_type")
                                                                    : std::string("default");
    if (type == "su") {
        return "longrope";
    }
    return type == "mrope" ? "default" : type;
}

double yarn_magnitude(double factor, double slope) {
    return factor <= 1.0 ? 1.0 : 0.1 * slope * std::log(factor) + 1.0;
}

double find_yarn_magnitude(const Json& scaling, double factor) {
    if (const auto stated = find_number(scaling, "attention_factor")) {
        return *stated;
    }
    const double slope = find_number(scaling, "mscale").value_or(0.0);
    const double slope_all = find_number(scaling, "mscale_all_dim").value_or(0.0);
    return slope != 0.0 && slope_all != 0.0
               ? yarn_magnitude(factor, slope) / yarn_magnitude(factor, slope_all)
               : yarn_magnitude(factor, 1.0);
}

double find_long_magnitude(const Json& scaling, double factor, double original) {
    if (const auto stated = find_number(scaling, "attention_factor")) {
        return *stated;
    }
    return factor <= 1.0 || original <= 1.0
               ? 1.0
               : std::sqrt(1.0 + std::log(factor) / std::log(original));
}

void add(Json& meaning, std::string_view key, std::optional<double> value) {
    if (value) {
        meaning.set(key, plain_number(*value));
    }
}

/// The keys of every type that transformers knows; all keys of another one.
void add_type(Json& meaning, const Json& scaling, std::uint32_t context_length) {
    const std::string type = read_type(scaling);
    const auto factor = find_number(scaling, "factor");
    const double context = context_length;
    const double original =
        find_number(scaling, "original_max_position_embeddings").value_or(context);
    if (type == "default" || (type == "linear" && factor.value_or(1.0) == 1.0)) {
        return;
    }
    meaning.set("rope_type", type);
    if (type == "linear") {
        add(meaning, "factor", factor);
    } else if (type == "dynamic") {
        add(meaning, "factor", factor);
        add(meaning, "original_max_position_embeddings", original);
        add(meaning, "alpha", find_number(scaling, "alpha"));
    } else if (type == "yarn") {
        const double stretch = factor.value_or(original > 0.0 ? context / original : 1.0);
        const Json* truncate = scaling.find("truncate");
        const bool is_exact =
            truncate != nullptr && truncate->is_boolean() && !truncate->as_boolean("truncate");
        add(meaning, "factor", stretch);
        add(meaning, "original_max_position_embeddings", original);
        add(meaning, "beta_fast", find_number(scaling, "beta_fast").value_or(32.0));
        add(meaning, "beta_slow", find_number(scaling, "beta_slow").value_or(1.0));
        add(meaning, "magnitude", find_yarn_magnitude(scaling, stretch));
        meaning.set("truncate", !is_exact);
    } else if (type == "llama3") {
        add(meaning, "factor", factor);
        add(meaning, "low_freq_factor", find_number(scaling, "low_freq_factor"));
        add(meaning, "high_freq_factor", find_number(scaling, "high_freq_factor"));
        add(meaning, "original_max_position_embeddings", original);
    } else if (type == "longrope") {
        const double stretch = factor.value_or(original > 0.0 ? context / original : 1.0);
        add(meaning, "original_max_position_embeddings", original);
        add(meaning, "magnitude", find_long_magnitude(scaling, stretch, original));
        for (const std::string_view key : {"short_factor", "long_factor"}) {
            if (const Json* list = scaling.find(key)) {
                meaning.set(key, plain_value(*list));
            }
        }
    } else {
        for (const auto& [key, value] : scaling.as_object("rope scaling")) {
            if (key != "sliding_rope_theta") {
                meaning.set(key, plain_value(value));
            }
        }
    }
}

}  // namespace

Json find_rope_meaning(const Json& scaling,
                       std::optional<double> theta,
                       std::uint32_t context_length) {
    Json meaning = Json::object();
    add(meaning, "rope_theta", theta.value_or(usual_theta));
    if (!scaling.is_object()) {
        return meaning;
    }
    add_type(meaning, scaling, context_length);
    // Where a family has sliding layers of another speed, this is the speed that is filled in.
    const auto sliding = find_number(scaling, "sliding_rope_theta");
    if (sliding && *sliding != usual_theta) {
        add(meaning, "sliding_rope_theta", sliding);
    }
    return meaning;
}

}  // namespace anamnesis::checkpoint
