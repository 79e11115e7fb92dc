// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/request.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {
namespace {

Json numbers(const std::optional<std::set<std::uint32_t>>& values) {
    if (!values) {
        return {};
    }
    Json list = Json::array();
    for (const std::uint32_t value : *values) {
        list.push_back(value);
    }
    return list;
}

std::optional<std::set<std::uint32_t>> numbers_from(const Json& json, std::string_view what) {
    if (json.is_null()) {
        return std::nullopt;
    }
    std::set<std::uint32_t> values;
    for (const Json& value : json.as_array(what)) {
        const std::uint64_t number = value.as_unsigned(what);
        if (number > 0xFFFF'FFFFULL) {
            throw Error(ErrorKind::malformed, format("{} holds {}", what, number));
        }
        values.insert(static_cast<std::uint32_t>(number));
    }
    return values;
}

/// A word is "inf"; null is what earlier versions wrote for an infinite lambda.
double strength_from(const Json& json, std::string_view what) {
    if (json.is_string() && json.as_string(what) != "inf") {
        throw Error(
            ErrorKind::malformed,
            format(
                "{} is {}, expected a number or \"inf\"", what, in_quotes(json.as_string(what))));
    }
    return json.is_string() || json.is_null() ? std::numeric_limits<double>::infinity()
                                              : json.as_double(what);
}

Json to_json(const FitSettings& fit) {
    Json mus = Json::array();
    for (const double mu : fit.mus) {
        mus.push_back(describe_strength(mu));
    }
    Json json = Json::Object{{"mu", fit.chooses_mu ? Json("auto") : std::move(mus)},
                             {"keys", to_string(fit.keys)},
                             {"rounds", fit.rounds},
                             {"calibration", fit.calibration}};
    if (fit.scales_inputs) {
        json.set("scaled_inputs", true);
    }
    if (fit.reports.size() == 1) {
        json.set("groups", fit.reports.front());
    }
    return json;
}

FitSettings fit_from_json(const Json& json) {
    FitSettings fit;
    for (const Json& mu : json.at("mu").as_array("mu")) {
        fit.mus.push_back(strength_from(mu, "mu"));
    }
    fit.keys = parse_word(
        key_inputs_words, json.at("keys").as_string("keys"), "keys", ErrorKind::malformed);
    const std::uint64_t rounds = json.at("rounds").as_unsigned("rounds");
    if (rounds > most_fit_rounds) {
        throw Error(ErrorKind::malformed,
                    format("rounds is {}, expected at most {}", rounds, most_fit_rounds));
    }
    fit.rounds = static_cast<std::uint32_t>(rounds);
    fit.calibration = json.at("calibration");
    if (const Json* scaled = json.find("scaled_inputs")) {
        fit.scales_inputs = scaled->as_boolean("scaled_inputs");
    }
    if (const Json* groups = json.find("groups")) {
        fit.reports.push_back(*groups);
    }
    return fit;
}

}  // namespace

Json describe_strength(double value) {
    return std::isinf(value) ? Json("inf") : Json(value);
}

std::size_t count_outputs(const Request& request) {
    switch (request.selection.method) {
        case Method::pro:
            return request.lambdas.size();
        case Method::fit:
            return request.fit.mus.size();
        default:
            return 1;
    }
}

Request request_of_output(const Request& request, std::size_t index) {
    ANAMNESIS_CHECK(index < count_outputs(request), "a request has fewer outputs");
    Request one = request;
    if (request.selection.method == Method::pro) {
        one.lambdas = {request.lambdas[index]};
    } else if (request.selection.method == Method::fit) {
        one.fit.mus = {request.fit.mus[index]};
        if (!request.fit.reports.empty()) {
            one.fit.reports = {request.fit.reports.at(index)};
        }
    }
    return one;
}

std::string_view to_string(Method method) noexcept {
    return find_word(method_words, method);
}
std::string_view to_string(ProMetric metric) noexcept {
    return find_word(metric_words, metric);
}
std::string_view to_string(KeyInputs keys) noexcept {
    return find_word(key_inputs_words, keys);
}
std::string_view to_string(Allowance allowance) noexcept {
    return find_word(allowance_words, allowance);
}

Json to_json(const Request& request) {
    const Selection& selection = request.selection;
    Json json = Json::object();
    json.set("method", to_string(selection.method));
    if (selection.is_by_group()) {
        Json groups = Json::array();
        for (const checkpoint::TensorGroup group : selection.groups) {
            groups.push_back(checkpoint::to_string(group));
        }
        json.set("groups", std::move(groups));
    }
    json.set("layers", numbers(selection.layers));
    json.set("heads", numbers(selection.kv_heads));
    json.set("biases", selection.has_biases);
    json.set("sliding", selection.has_sliding);
    json.set("mtp", selection.has_draft_heads);
    json.set("norms", selection.has_norms);
    json.set("adapters", selection.has_adapters);
    if (selection.method == Method::pro) {
        Json lambdas = Json::array();
        for (const Lambda& lambda : request.lambdas) {
            lambdas.push_back(Json::Object{
                {lambda.is_relative ? "relative" : "absolute", describe_strength(lambda.value)}});
        }
        json.set("lambdas", std::move(lambdas));
        json.set("metric", to_string(request.metric));
    }
    if (selection.method == Method::lerp) {
        json.set("alpha", request.alpha);
    }
    if (selection.method == Method::fit) {
        json.set("fit", to_json(request.fit));
    }
    Json allowed = Json::array();
    for (const Allowance allowance : request.allowed) {
        allowed.push_back(to_string(allowance));
    }
    json.set("allowed", std::move(allowed));
    if (request.via != checkpoint::GgufVia::none) {
        json.set("via", find_word(checkpoint::gguf_via_words, request.via));
    }
    if (!request.importance.empty()) {
        json.set("imatrix", request.importance);
    }
    if (request.is_exact) {
        json.set("exact", true);
    }
    if (!request.note.empty()) {
        json.set("note", request.note);
    }
    return json;
}

Request request_from_json(const Json& json) {
    Request request;
    Selection& selection = request.selection;
    selection.method = parse_word(
        method_words, json.at("method").as_string("method"), "method", ErrorKind::malformed);
    if (const Json* groups = json.find("groups")) {
        for (const Json& group : groups->as_array("groups")) {
            const auto value = checkpoint::find_tensor_group(group.as_string("groups"));
            if (!value) {
                throw Error(ErrorKind::malformed,
                            format("group {} is not known", in_quotes(group.as_string("groups"))));
            }
            selection.groups.insert(*value);
        }
    }
    selection.layers = numbers_from(json.at("layers"), "layers");
    selection.kv_heads = numbers_from(json.at("heads"), "heads");
    selection.has_biases = json.at("biases").as_boolean("biases");
    selection.has_sliding = json.at("sliding").as_boolean("sliding");
    selection.has_draft_heads = json.at("mtp").as_boolean("mtp");
    selection.has_norms = json.at("norms").as_boolean("norms");
    selection.has_adapters = json.at("adapters").as_boolean("adapters");
    if (const Json* lambdas = json.find("lambdas")) {
        request.lambdas.clear();
        for (const Json& lambda : lambdas->as_array("lambdas")) {
            const Json* relative = lambda.find("relative");
            request.lambdas.push_back(
                {.value = strength_from(relative != nullptr ? *relative : lambda.at("absolute"),
                                        "lambda"),
                 .is_relative = relative != nullptr});
        }
        request.metric = parse_word(
            metric_words, json.at("metric").as_string("metric"), "metric", ErrorKind::malformed);
    }
    if (const Json* fit = json.find("fit")) {
        request.fit = fit_from_json(*fit);
    }
    if (const Json* alpha = json.find("alpha")) {
        request.alpha = alpha->as_double("alpha");
    }
    for (const Json& allowance : json.at("allowed").as_array("allowed")) {
        request.allowed.insert(parse_word(
            allowance_words, allowance.as_string("allowed"), "allowance", ErrorKind::malformed));
    }
    if (const Json* via = json.find("via")) {
        request.via = parse_word(
            checkpoint::gguf_via_words, via->as_string("via"), "via", ErrorKind::malformed);
    }
    if (const Json* importance = json.find("imatrix")) {
        request.importance = importance->as_string("imatrix");
    }
    if (const Json* exact = json.find("exact")) {
        request.is_exact = exact->as_boolean("exact");
    }
    if (const Json* note = json.find("note")) {
        request.note = note->as_string("note");
    }
    return request;
}

}  // namespace anamnesis::restore
