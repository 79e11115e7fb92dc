// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/logit_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/runtime/cross_entropy.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "head_gradients.hpp"
#include "network_input.hpp"

namespace anamnesis::analysis {
namespace {

using runtime::AttentionValues;
using runtime::Network;

struct ObservedLayer {
    std::size_t layer = 0;
    AttentionValues values;
};

/// The weights of a softmax layer's projections.
struct Projections {
    at::Tensor query;
    at::Tensor key;
    at::Tensor value;
    at::Tensor output;
};

Projections find_projections(const Network& network, std::size_t layer) {
    const auto weight = [&](std::string_view role) {
        return network.parameter(LayerIndex(static_cast<std::uint32_t>(layer)), role);
    };
    return {.query = weight(checkpoint::role::query),
            .key = weight(checkpoint::role::key),
            .value = weight(checkpoint::role::value),
            .output = weight(checkpoint::role::output)};
}

void refuse_what_is_not_measured(const checkpoint::AttentionSpec& attention, std::size_t layer) {
    if (attention.fused) {
        throw Error(ErrorKind::unsupported,
                    format("layer {} makes queries, keys and values with one matrix; gradients of "
                           "its logits are not measured",
                           layer));
    }
    if (attention.alibi_factor) {
        throw Error(ErrorKind::unsupported,
                    format("logits of layer {} fall with distance (ALiBi); their gradients are not "
                           "measured",
                           layer));
    }
    if (attention.has_sinks) {
        throw Error(ErrorKind::unsupported,
                    format("layer {} has attention sinks; gradients of its logits are not measured",
                           layer));
    }
}

/// The graph begins at the lowest softmax layer: below it nothing is kept.
void ask_for_gradients(const Network& network) {
    bool has_softmax = false;
    for (std::size_t i = 0; i < network.spec().layers.size(); ++i) {
        const checkpoint::MixerSpec& mixer = network.spec().layers[i].mixer;
        if (is_softmax(mixer) && find_attention(mixer) == nullptr) {
            throw Error(ErrorKind::unsupported,
                        format("layer {} has latent attention, whose keys and values are no "
                               "products of matrices of their own; gradients of its logits are "
                               "not measured",
                               i));
        }
        if (const checkpoint::AttentionSpec* attention = find_attention(mixer)) {
            refuse_what_is_not_measured(*attention, i);
            has_softmax = true;
            const Projections weights = find_projections(network, i);
            for (const at::Tensor& weight :
                 {weights.query, weights.key, weights.value, weights.output}) {
                weight.requires_grad_(true);
            }
        }
    }
    if (!has_softmax) {
        throw Error(ErrorKind::unsupported,
                    "the model has no softmax-attention layer, so there are no attention logits");
    }
}

struct Loss {
    double value = 0.0;
    at::Tensor hidden_grad;  ///< of the final norm's output
};

Loss compute_loss(const Network& network,
                  const at::Tensor& hidden,
                  const LabelledText& text,
                  double weight) {
    const std::vector<bool> predicting = predicting_positions(text);
    std::vector<std::int64_t> positions;
    std::vector<std::int64_t> targets;
    for (std::size_t t = 0; t < predicting.size(); ++t) {
        if (predicting[t]) {
            positions.push_back(static_cast<std::int64_t>(t));
            targets.push_back(text.labels[t + 1]);
        }
    }
    const at::Tensor rows = hidden.detach().squeeze(0).requires_grad_(true);
    const at::Tensor where = at::tensor(positions, at::kLong).to(rows.device());
    const at::Tensor sum = runtime::summed_cross_entropy(
        rows.index_select(0, where), network.logit_head(), at::tensor(targets, at::kLong), {});
    return {.value = sum.item<double>() * weight,
            .hidden_grad = torch::autograd::grad({sum * weight}, {rows}).front().unsqueeze(0)};
}

/// [1, T, H, D] -> [H, T, D], contiguous, on the CPU, where pairs are added up; outside the graph.
at::Tensor by_head(const at::Tensor& tensor) {
    return tensor.detach().squeeze(0).transpose(0, 1).to(at::kCPU).contiguous();
}

/// [H, T, D] -> [1, T, H, D], on the network's device.
at::Tensor by_token(const at::Tensor& tensor, const at::Device& device) {
    return tensor.transpose(0, 1).unsqueeze(0).to(device);
}

double compute_norm(const at::Tensor& tensor) {
    return tensor.norm().item<double>();
}

/// What a gradient of q, k or v is to the weight that made it: linear, so bands add up.
double norm_through(const at::Tensor& values, const at::Tensor& weight, const at::Tensor& grad) {
    return compute_norm(
        torch::autograd::grad({values}, {weight}, {by_token(grad, values.device())}, true).front());
}

BandNorms compute_norms(const BandShare& share,
                        const AttentionValues& values,
                        const at::Tensor& output_grad,
                        const Projections& weights) {
    at::Tensor mixed = by_token(share.mixed, values.q.device());
    if (values.gate.defined()) {
        mixed = mixed * at::sigmoid(values.gate.detach());
    }
    const std::int64_t length = mixed.size(1);
    return {.query = norm_through(values.q, weights.query, share.q_grad),
            .key = norm_through(values.k, weights.key, share.k_grad),
            .value = norm_through(values.v, weights.value, share.v_grad),
            .output = compute_norm(
                at::mm(output_grad.reshape({length, -1}).t(), mixed.reshape({length, -1})))};
}

LayerGradients empty_layer(std::size_t layer, std::size_t heads, std::size_t length) {
    return {.layer = layer,
            .sums = std::vector(heads, std::vector<double>(length)),
            .predicting_sums = std::vector(heads, std::vector<double>(length)),
            .count = std::vector<std::uint64_t>(length),
            .predicting_count = std::vector<std::uint64_t>(length),
            .bands = {}};
}

LayerGradients measure_layer(const Network& network,
                             const ObservedLayer& observed,
                             const at::Tensor& mixed_grad,
                             const at::Tensor& output_grad,
                             const LabelledText& text,
                             const GradientOptions& options) {
    const checkpoint::AttentionSpec& spec =
        *find_attention(network.spec().layers[observed.layer].mixer);
    const AttentionValues& values = observed.values;
    const auto length = static_cast<std::int64_t>(text.ids.size());
    const LayerPass pass{
        .q = by_head(values.q),
        .k = by_head(values.k),
        .v = by_head(values.v),
        .mixed_grad = by_head(mixed_grad),
        .window = spec.window ? std::min<std::int64_t>(*spec.window, length) : length,
        .softcap = spec.softcap};
    LayerGradients result =
        empty_layer(observed.layer, static_cast<std::size_t>(pass.q.size(0)), text.ids.size());
    const RowTotals totals = sum_logit_gradients(pass, predicting_positions(text), result);
    for (const DistanceBand& band : options.bands) {
        result.bands.push_back(compute_norms(compute_band_share(band, pass, totals),
                                             values,
                                             output_grad,
                                             find_projections(network, observed.layer)));
    }
    return result;
}

LogitGradients measure(const Network& network,
                       const LabelledText& text,
                       const GradientOptions& options) {
    const at::AutoGradMode records(true);
    ask_for_gradients(network);
    LogitGradients result{.predictions = prediction_count(text), .layers = {}};
    const double weight =
        options.weight != 0.0 ? options.weight : 1.0 / static_cast<double>(result.predictions);

    std::vector<ObservedLayer> observed;
    const at::Tensor hidden = network.forward(
        to_token_row(text.ids), {}, [&](std::size_t layer, const AttentionValues& values) {
            observed.push_back({.layer = layer, .values = values});
        });
    const Loss loss = compute_loss(network, hidden, text, weight);
    result.loss = loss.value;

    const bool has_bands = !options.bands.empty();
    std::vector<at::Tensor> wanted;
    for (const ObservedLayer& one : observed) {
        wanted.push_back(one.values.mixed);
    }
    for (const ObservedLayer& one : observed) {
        if (has_bands) {
            wanted.push_back(one.values.output);
        }
    }
    // Bands go once more from q, k and v to the weights.
    const std::vector<at::Tensor> grads =
        torch::autograd::grad({hidden}, wanted, {loss.hidden_grad}, /*retain_graph=*/has_bands);
    for (std::size_t i = 0; i < observed.size(); ++i) {
        result.layers.push_back(measure_layer(network,
                                              observed[i],
                                              grads[i],
                                              has_bands ? grads[observed.size() + i] : at::Tensor(),
                                              text,
                                              options));
        observed[i].values = {};
    }
    return result;
}

}  // namespace

LogitGradients logit_gradients(const Network& network,
                               const LabelledText& text,
                               const GradientOptions& options) {
    check_text(network, text);
    return without_foreign_exceptions([&] { return measure(network, text, options); });
}

std::vector<double> mean_over_heads(const std::vector<std::vector<double>>& sums,
                                    const std::vector<std::uint64_t>& count) {
    std::vector<double> means(count.size(), std::numeric_limits<double>::quiet_NaN());
    for (std::size_t tau = 0; tau < count.size(); ++tau) {
        if (count[tau] == 0) {
            continue;
        }
        double total = 0.0;
        for (const std::vector<double>& head : sums) {
            total += head[tau];
        }
        means[tau] = total / (static_cast<double>(count[tau]) * static_cast<double>(sums.size()));
    }
    return means;
}

}  // namespace anamnesis::analysis
