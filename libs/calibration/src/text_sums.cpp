// SPDX-License-Identifier: Apache-2.0
#include "text_sums.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/mixers.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/network.hpp"

#include "received_attention.hpp"

namespace anamnesis::calibration {
namespace {

namespace role = checkpoint::role;

/// The share of the mean weight that every token gets, whatever attention it receives.
constexpr double key_floor = 0.3;
constexpr double value_floor = 0.1;

/// Values in the moments of all heads of a layer above which one moment serves them all: they were
/// measured equal (docs/method.md, "Fit"), and one costs a forward pass far less.
constexpr std::int64_t most_head_values = std::int64_t{1} << 22;

/// A column for each head, or their sum where a moment for each would be too large.
at::Tensor divide_among_heads(const at::Tensor& received, std::int64_t inputs) {
    return received.size(1) * inputs * inputs > most_head_values ? received.sum(1, /*keepdim=*/true)
                                                                 : received;
}

constexpr const char* keys_by_attention = "k_attention";
constexpr const char* keys_centred = "k_centred";

std::optional<std::uint32_t> find_window(const runtime::Network& network, LayerIndex layer) {
    const auto* spec = find_attention(network.spec().layers[layer.value].mixer);
    return spec == nullptr ? std::nullopt : spec->window;
}

/// Of the network whose routing is weighed; undefined for a layer without sinks.
at::Tensor find_sinks(const runtime::Network& network, LayerIndex layer) {
    const auto* spec = find_attention(network.spec().layers[layer.value].mixer);
    return spec == nullptr || !spec->has_sinks ? at::Tensor()
                                               : network.parameter(layer, checkpoint::role::sinks);
}

at::Tensor with_floor(const at::Tensor& received, double floor) {
    return received + floor * received.mean(0, /*keepdim=*/true);
}

}  // namespace

at::Tensor to_tensor(const language::SupervisedText& text) {
    return at::tensor(text.ids, at::kLong).unsqueeze(0);
}

at::Tensor find_predicting(const language::SupervisedText& text) {
    std::vector<std::int64_t> positions;
    for (std::size_t t = 0; t + 1 < text.labels.size(); ++t) {
        if (text.labels[t + 1] != language::unsupervised) {
            positions.push_back(static_cast<std::int64_t>(t));
        }
    }
    return at::tensor(positions, at::kLong);
}

TextSums::TextSums(const restore::Plan& plan,
                   const runtime::Network& post,
                   const runtime::Network* pre,
                   restore::CalibrationSide side)
    : post_(post), pre_(pre), side_(side) {
    for (const restore::FitGroup& group : plan.fits) {
        parts_.emplace(Place{group.layer, group.part}, group.has_bias);
    }
}

void TextSums::add(const language::SupervisedText& text, const at::Tensor& weights) {
    const at::NoGradGuard no_gradients;
    positions_ = find_predicting(text);
    weights_ = weights.defined() ? weights.unsqueeze(1) : at::Tensor();
    const at::Tensor hidden = post_.forward(
        to_tensor(text),
        {},
        [this](std::size_t layer, const runtime::AttentionValues& values) {
            hear_attention(LayerIndex(static_cast<std::uint32_t>(layer)), values);
        },
        [this](LayerIndex layer, std::string_view of, const at::Tensor& input) {
            hear_input(layer, of, input);
        });
    if (const Place head{std::nullopt, "head"}; wants(head)) {
        add_at_positions(head, hidden.select(0, 0));
    }
    input_ = at::Tensor();
}

void TextSums::add_rows(const Place& place, const at::Tensor& rows, const at::Tensor& weights) {
    sums_.add({.part = place.second, .side = side_, .layer = place.first},
              rows,
              weights,
              parts_.at(place));
}

void TextSums::add_at_positions(const Place& place, const at::Tensor& input) {
    if (wants(place)) {
        add_rows(place, input.index_select(0, positions_.to(input.device())), weights_);
    }
}

void TextSums::hear_input(LayerIndex layer, std::string_view of, const at::Tensor& input) {
    const at::Tensor rows = input.select(0, 0);
    if (of == role::query) {
        input_ = rows;
        add_at_positions({layer, "q"}, rows);
        // Raised chains weigh keys by attention, whichever inputs the first solution took.
        if (const Place centred{layer, keys_centred}; wants(centred) && !weights_.defined()) {
            add_rows(centred, rows - rows.mean(0, /*keepdim=*/true), {});
        }
    } else if (of == role::output) {
        add_at_positions({layer, "o"}, rows);
    } else if (of == role::gate) {
        add_at_positions({layer, "mlp"}, rows);
    } else if (of == role::down) {
        add_at_positions({layer, "down"}, rows);
    }
}

void TextSums::hear_attention(LayerIndex layer, const runtime::AttentionValues& values) {
    const Place keys{layer, keys_by_attention};
    const Place centred{layer, keys_centred};
    const Place value{layer, "v"};
    const bool is_raised = weights_.defined();
    if (!wants(keys) && !wants(value) && !(is_raised && wants(centred))) {
        return;
    }
    const bool is_recall = side_ == restore::CalibrationSide::recall;
    const runtime::Network& asked = is_recall ? *pre_ : post_;
    const runtime::Routing routing = is_recall ? pre_->route(layer, input_.unsqueeze(0))
                                               : runtime::Routing{.q = values.q, .k = values.k};
    const at::Tensor received =
        divide_among_heads(sum_received_attention(routing,
                                                  positions_.to(values.q.device()),
                                                  is_raised ? weights_.squeeze(1) : weights_,
                                                  find_window(post_, layer),
                                                  find_sinks(asked, layer)),
                           input_.size(1));
    for (const Place& place : {keys, centred}) {
        if (wants(place) && (is_raised || place.second == keys_by_attention)) {
            add_rows(place, input_, is_raised ? received : with_floor(received, key_floor));
        }
    }
    if (wants(value)) {
        add_rows(value, input_, is_raised ? received : with_floor(received, value_floor));
    }
}

}  // namespace anamnesis::calibration
