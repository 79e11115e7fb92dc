// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"

namespace anamnesis::analysis {
namespace {

Json numbers_json(const std::vector<double>& numbers) {
    Json list = Json::array();
    for (const double number : numbers) {
        list.push_back(number);
    }
    return list;
}

std::vector<double> read_numbers(const Json& json, const char* what) {
    std::vector<double> numbers;
    for (const Json& number : json.as_array(what)) {
        numbers.push_back(number.as_double(what));
    }
    return numbers;
}

Json band_json(const BandNorms& norms) {
    return Json::Object{
        {"q", norms.query}, {"k", norms.key}, {"v", norms.value}, {"o", norms.output}};
}

BandNorms read_band(const Json& json) {
    return {.query = json.at("q").as_double("'q'"),
            .key = json.at("k").as_double("'k'"),
            .value = json.at("v").as_double("'v'"),
            .output = json.at("o").as_double("'o'")};
}

Json layer_json(const LayerRecord& layer) {
    Json sums = Json::array();
    for (const std::vector<double>& head : layer.sums) {
        sums.push_back(numbers_json(head));
    }
    Json bands = Json::array();
    for (const BandNorms& norms : layer.bands) {
        bands.push_back(band_json(norms));
    }
    return Json::Object{{"layer", std::uint64_t{layer.layer}},
                        {"sums", std::move(sums)},
                        {"pairs", numbers_json(layer.pairs)},
                        {"bands", std::move(bands)}};
}

LayerRecord read_layer(const Json& json) {
    LayerRecord layer{.layer = json.at("layer").as_unsigned("'layer'")};
    for (const Json& head : json.at("sums").as_array("'sums'")) {
        layer.sums.push_back(read_numbers(head, "'sums'"));
    }
    layer.pairs = read_numbers(json.at("pairs"), "'pairs'");
    for (const Json& norms : json.at("bands").as_array("'bands'")) {
        layer.bands.push_back(read_band(norms));
    }
    return layer;
}

}  // namespace

ExampleRecord to_record(std::string id, const LabelledText& text, const LogitGradients& gradients) {
    ExampleRecord record{.id = std::move(id),
                         .tokens = text.ids.size(),
                         .predictions = gradients.predictions,
                         .loss = gradients.loss};
    const std::vector<DistanceBin> bins = distance_bins(text.ids.size());
    for (const LayerGradients& layer : gradients.layers) {
        LayerRecord& one = record.layers.emplace_back();
        one.layer = layer.layer;
        for (const std::vector<double>& head : layer.sums) {
            one.sums.push_back(binned(head, bins));
        }
        one.pairs = binned(std::vector<double>(layer.count.begin(), layer.count.end()), bins);
        one.bands = layer.bands;
    }
    return record;
}

Json to_json(const ExampleRecord& record) {
    Json layers = Json::array();
    for (const LayerRecord& layer : record.layers) {
        layers.push_back(layer_json(layer));
    }
    return Json::Object{{"id", record.id},
                        {"tokens", std::uint64_t{record.tokens}},
                        {"predictions", std::uint64_t{record.predictions}},
                        {"loss", record.loss},
                        {"layers", std::move(layers)},
                        {"correlation_sums", numbers_json(record.correlation_sums)},
                        {"correlation_pairs", numbers_json(record.correlation_pairs)}};
}

ExampleRecord read_example_record(const Json& json) {
    ExampleRecord record{.id = json.at("id").as_string("'id'"),
                         .tokens = json.at("tokens").as_unsigned("'tokens'"),
                         .predictions = json.at("predictions").as_unsigned("'predictions'"),
                         .loss = json.at("loss").as_double("'loss'")};
    for (const Json& layer : json.at("layers").as_array("'layers'")) {
        record.layers.push_back(read_layer(layer));
    }
    record.correlation_sums = read_numbers(json.at("correlation_sums"), "'correlation_sums'");
    record.correlation_pairs = read_numbers(json.at("correlation_pairs"), "'correlation_pairs'");
    return record;
}

}  // namespace anamnesis::analysis
