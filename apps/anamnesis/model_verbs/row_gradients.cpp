// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/row_gradients.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::app {
namespace {

template <class Number>
void add_to(std::vector<Number>& sums, const std::vector<Number>& more) {
    for (std::size_t i = 0; i < std::min(sums.size(), more.size()); ++i) {
        sums[i] += more[i];
    }
}

Json means_json(const std::vector<std::vector<double>>& sums,
                const std::vector<std::uint64_t>& count) {
    Json list = Json::array();
    for (const double mean : analysis::mean_over_heads(sums, count)) {
        list.push_back(mean);
    }
    return list;
}

Json heads_json(const std::vector<std::vector<double>>& sums,
                const std::vector<std::uint64_t>& count) {
    Json heads = Json::array();
    for (const std::vector<double>& head : sums) {
        heads.push_back(means_json({head}, count));
    }
    return heads;
}

Json counts_json(const std::vector<std::uint64_t>& counts) {
    Json list = Json::array();
    for (const std::uint64_t count : counts) {
        list.push_back(count);
    }
    return list;
}

}  // namespace

void RowGradients::add(const analysis::LogitGradients& gradients) {
    if (layers_.empty()) {
        layers_ = gradients.layers;
        return;
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        analysis::LayerGradients& sum = layers_[i];
        const analysis::LayerGradients& more = gradients.layers[i];
        for (std::size_t head = 0; head < sum.sums.size(); ++head) {
            add_to(sum.sums[head], more.sums[head]);
            add_to(sum.predicting_sums[head], more.predicting_sums[head]);
        }
        add_to(sum.count, more.count);
        add_to(sum.predicting_count, more.predicting_count);
    }
}

void RowGradients::add_without_loss(const analysis::LabelledText& row) {
    lengths_without_loss_.push_back(row.ids.size());
}

Json RowGradients::to_json() const {
    Json result = Json::object();
    for (analysis::LayerGradients layer : layers_) {
        for (const std::size_t length : lengths_without_loss_) {
            for (std::size_t tau = 0; tau < std::min(length, layer.count.size()); ++tau) {
                // Beyond a window no pair is counted in any row.
                layer.count[tau] += layer.count[tau] > 0 ? length - tau : 0;
            }
        }
        result.set(format("{}", layer.layer),
                   Json::Object{
                       {"g_per_head", heads_json(layer.sums, layer.count)},
                       {"g", means_json(layer.sums, layer.count)},
                       {"count", counts_json(layer.count)},
                       {"g_per_head_predicting",
                        heads_json(layer.predicting_sums, layer.predicting_count)},
                       {"g_predicting", means_json(layer.predicting_sums, layer.predicting_count)},
                       {"count_predicting", counts_json(layer.predicting_count)}});
    }
    return result;
}

}  // namespace anamnesis::app
