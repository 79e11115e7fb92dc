// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/row_gradients.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::analysis {
namespace {

template <class Number>
void add_to(std::vector<Number>& sums, const std::vector<Number>& more) {
    for (std::size_t i = 0; i < std::min(sums.size(), more.size()); ++i) {
        sums[i] += more[i];
    }
}

Json write_means(const std::vector<std::vector<double>>& sums,
                 const std::vector<std::uint64_t>& count) {
    Json list = Json::array();
    for (const double mean : mean_over_heads(sums, count)) {
        list.push_back(mean);
    }
    return list;
}

Json write_heads(const std::vector<std::vector<double>>& sums,
                 const std::vector<std::uint64_t>& count) {
    Json heads = Json::array();
    for (const std::vector<double>& head : sums) {
        heads.push_back(write_means({head}, count));
    }
    return heads;
}

Json write_counts(const std::vector<std::uint64_t>& counts) {
    Json list = Json::array();
    for (const std::uint64_t count : counts) {
        list.push_back(count);
    }
    return list;
}

}  // namespace

void RowGradients::add(const LogitGradients& gradients) {
    if (layers_.empty()) {
        layers_ = gradients.layers;
        return;
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        LayerGradients& sum = layers_[i];
        const LayerGradients& more = gradients.layers[i];
        for (std::size_t head = 0; head < sum.sums.size(); ++head) {
            add_to(sum.sums[head], more.sums[head]);
            add_to(sum.predicting_sums[head], more.predicting_sums[head]);
        }
        add_to(sum.count, more.count);
        add_to(sum.predicting_count, more.predicting_count);
    }
}

void RowGradients::add_without_loss(const LabelledText& row) {
    lengths_without_loss_.push_back(row.ids.size());
}

Json RowGradients::to_json() const {
    Json result = Json::object();
    for (LayerGradients layer : layers_) {
        for (const std::size_t length : lengths_without_loss_) {
            for (std::size_t tau = 0; tau < std::min(length, layer.count.size()); ++tau) {
                // Beyond a window no pair is counted in any row.
                layer.count[tau] += layer.count[tau] > 0 ? length - tau : 0;
            }
        }
        result.set(format("{}", layer.layer),
                   Json::Object{
                       {"g_per_head", write_heads(layer.sums, layer.count)},
                       {"g", write_means(layer.sums, layer.count)},
                       {"count", write_counts(layer.count)},
                       {"g_per_head_predicting",
                        write_heads(layer.predicting_sums, layer.predicting_count)},
                       {"g_predicting", write_means(layer.predicting_sums, layer.predicting_count)},
                       {"count_predicting", write_counts(layer.predicting_count)}});
    }
    return result;
}

}  // namespace anamnesis::analysis
