// SPDX-License-Identifier: Apache-2.0
#include "text_sums.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/mixers.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/network.hpp"

#include "moment_memory.hpp"
#include "received_attention.hpp"

namespace anamnesis::calibration {
namespace {

namespace role = checkpoint::role;

/// The share of the mean weight that every token gets, whatever attention it receives.
constexpr double key_floor = 0.3;
constexpr double value_floor = 0.1;

/// A column for each head, or their sum where a moment for each would be too large.
at::Tensor divide_among_heads(const at::Tensor& received, std::int64_t inputs) {
    const auto values = static_cast<std::uint64_t>(received.size(1) * inputs * inputs);
    return values > most_head_values ? received.sum(1, /*keepdim=*/true) : received;
}

constexpr const char* latent_queries = "q_latent";
constexpr const char* latent_keys = "k_latent";
constexpr const char* latent_values = "v_latent";
constexpr const char* experts = "experts";
constexpr const char* experts_down = "experts_down";

constexpr const char* keys_by_attention = "k_attention";
constexpr const char* keys_centred = "k_centred";

/// Sinks are those of the network whose routing is weighed; slopes are those of any.
SoftmaxRules find_rules(const runtime::Network& network,
                        LayerIndex layer,
                        const at::Tensor& slopes) {
    const auto* spec = find_attention(network.spec().layers[layer.value].mixer);
    if (spec == nullptr) {
        return {};
    }
    return {
        .window = spec->window,
        .sinks = spec->has_sinks ? network.parameter(layer, checkpoint::role::sinks) : at::Tensor(),
        .softcap = spec->softcap,
        .slopes = slopes};
}

/// Rows of a head's key among those of its key and value, of a layer of latent attention.
std::int64_t find_nope_dim(const runtime::Network& network, LayerIndex layer) {
    return std::get<checkpoint::LatentAttentionSpec>(network.spec().layers[layer.value].mixer)
        .nope_dim;
}

/// True where what each matrix reads is rounded to bfloat16, if the processor multiplies that.
bool rounds_inputs(const runtime::Network& network) {
    return std::ranges::all_of(network.parameters(), [](const auto& parameter) {
        return parameter.second.dim() != 2 || parameter.second.scalar_type() == at::kBFloat16;
    });
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
    const bool rounds = rounds_inputs(post);
    for (const restore::FitGroup& group : plan.fits) {
        // A target is of the inputs as they are.
        MomentShape shape{.matrices = 1,
                          .has_bias = group.has_bias,
                          .is_rounded = rounds && !restore::has_target(group.part)};
        if (restore::is_of_experts(group.part)) {
            for (const restore::HeadBlock& block : group.rows) {
                shape.matrices = std::max<std::int64_t>(shape.matrices, block.head + 1);
            }
        }
        parts_.emplace(Place{group.layer, group.part}, shape);
    }
}

void TextSums::begin(const language::SupervisedText& text, const at::Tensor& weights) {
    positions_ = find_predicting(text);
    numbers_ = at::full({static_cast<std::int64_t>(text.ids.size())}, -1, at::kLong);
    numbers_.index_copy_(0, positions_, at::arange(positions_.size(0), at::kLong));
    weights_ = weights.defined() ? weights.unsqueeze(1) : at::Tensor();
    input_ = at::Tensor();
    latent_ = at::Tensor();
    reads_latents_at_.reset();
}

at::Tensor TextSums::enter(const language::SupervisedText& text, const at::Tensor& weights) {
    const at::NoGradGuard no_gradients;
    // Tokens of raised chains count as they did.
    if (const Place embedding{std::nullopt, "embedding"}; wants(embedding) && !weights.defined()) {
        sums_.count(make_key(embedding),
                    at::tensor(text.ids, at::kLong),
                    post_.parameter(std::nullopt, role::embedding).size(0));
    }
    return post_.embed(to_tensor(text));
}

at::Tensor TextSums::pass(LayerIndex layer,
                          const language::SupervisedText& text,
                          const at::Tensor& weights,
                          const at::Tensor& stream) {
    const at::NoGradGuard no_gradients;
    begin(text, weights);
    return post_.pass(
        layer,
        to_tensor(text),
        stream,
        [this](std::size_t at, const runtime::AttentionValues& values) {
            hear_attention(LayerIndex(static_cast<std::uint32_t>(at)), values);
        },
        [this](const runtime::MatrixInput& input) { hear_input(input); });
}

void TextSums::leave(const language::SupervisedText& text,
                     const at::Tensor& weights,
                     const at::Tensor& stream) {
    const at::NoGradGuard no_gradients;
    if (const Place head{std::nullopt, "head"}; wants(head)) {
        begin(text, weights);
        add_at_positions(head, post_.normalise(stream).select(0, 0));
    }
}

std::size_t TextSums::count_layers() const {
    std::size_t count = 0;
    for (const auto& [place, _] : parts_) {
        const bool is_head = place.second == "head";
        count = std::max<std::size_t>(count,
                                      is_head       ? post_.spec().layers.size()
                                      : place.first ? place.first->value + 1
                                                    : 0);
    }
    return count;
}

MomentSums TextSums::take() {
    sums_.complete();
    return std::exchange(sums_, {});
}

void TextSums::add_rows(const Place& place, const at::Tensor& rows, const at::Tensor& weights) {
    MomentShape shape = parts_.at(place);
    if (weights.defined()) {
        shape.matrices = weights.size(1);
    }
    sums_.add(make_key(place), rows, weights, shape);
}

void TextSums::add_at_positions(const Place& place, const at::Tensor& input) {
    if (wants(place)) {
        add_rows(place, input.index_select(0, positions_.to(input.device())), weights_);
    }
}

void TextSums::hear_input(const runtime::MatrixInput& input) {
    if (input.expert) {
        hear_expert(input);
        return;
    }
    static const std::map<std::string_view, const char*> parts{
        {role::query_input, "q"},
        {role::query, "q"},
        {role::output, "o"},
        {role::gate, "mlp"},
        {role::up, "mlp"},
        {role::router, "mlp"},
        {role::down, "down"},
        {role::shared_down, "shared_down"},
        {role::latent_output, "latent_output"}};
    const at::Tensor rows = input.values.select(0, 0);
    if (input.role == role::key_value) {
        latent_ = rows;
        return;
    }
    if (input.role == role::query && reads_latents_at_ == input.layer) {
        add_latent_queries(input.layer, rows);
        return;
    }
    const auto part = parts.find(input.role);
    if (part == parts.end()) {
        return;
    }
    add_at_positions({input.layer, part->second}, rows);
    if (input.role == role::query_input) {
        reads_latents_at_ = input.layer;
    }
    if (input.role == role::query || input.role == role::query_input) {
        input_ = rows;
        // Raised chains weigh keys by attention, whichever inputs the first solution took.
        if (const Place centred{input.layer, keys_centred}; wants(centred) && !weights_.defined()) {
            add_rows(centred, rows - rows.mean(0, /*keepdim=*/true), {});
        }
    }
}

void TextSums::add_latent_queries(LayerIndex layer, const at::Tensor& rows) {
    const Place place{layer, latent_queries};
    if (!wants(place)) {
        return;
    }
    add_at_positions(place, rows);
    if (is_recall()) {
        const at::Tensor at = positions_.to(rows.device());
        const at::Tensor of_pre =
            pre_->project_latents(layer, input_.unsqueeze(0)).query.select(0, 0);
        sums_.add_target(make_key(place), of_pre.index_select(0, at), rows.index_select(0, at));
    }
}

void TextSums::add_latent_keys(LayerIndex layer, const at::Tensor& received, bool is_raised) {
    const Place keys{layer, latent_keys};
    const Place values{layer, latent_values};
    at::Tensor of_pre;
    if (is_recall() && (wants(keys) || wants(values))) {
        const at::Tensor rows =
            pre_->project_latents(layer, input_.unsqueeze(0)).key_value.select(0, 0);
        of_pre = rows.view({rows.size(0), received.size(1), -1});
    }
    const std::int64_t nope = find_nope_dim(post_, layer);
    const at::Tensor shared = divide_among_heads(received, latent_.size(1));
    const auto add = [&](const Place& place, double floor, std::int64_t first, std::int64_t end) {
        if (!wants(place)) {
            return;
        }
        const at::Tensor weights = is_raised ? shared : with_floor(shared, floor);
        add_rows(place, latent_, weights);
        if (of_pre.defined()) {
            const at::Tensor weighed =
                of_pre.slice(2, first, end).to(at::kDouble) * weights.unsqueeze(2);
            sums_.add_target(make_key(place), weighed.flatten(1), latent_);
        }
    };
    add(keys, key_floor, 0, nope);
    add(values, value_floor, nope, std::numeric_limits<std::int64_t>::max());
}

void TextSums::hear_expert(const runtime::MatrixInput& input) {
    const Place place{input.layer, input.role == role::down ? experts_down : experts};
    if (!wants(place)) {
        return;
    }
    const at::Tensor numbers = numbers_.index_select(0, input.tokens.to(numbers_.device()));
    const at::Tensor kept = numbers.ge(0).nonzero().squeeze(1);
    sums_.add(make_key(place),
              input.values.index_select(0, kept.to(input.values.device())),
              weights_.defined()
                  ? weights_.index_select(0, numbers.index_select(0, kept).to(weights_.device()))
                  : at::Tensor(),
              parts_.at(place),
              *input.expert);
}

void TextSums::hear_attention(LayerIndex layer, const runtime::AttentionValues& values) {
    const Place keys{layer, keys_by_attention};
    const Place centred{layer, keys_centred};
    const Place value{layer, "v"};
    const bool is_raised = weights_.defined();
    const bool is_latent = wants({layer, latent_keys}) || wants({layer, latent_values});
    if (!wants(keys) && !wants(value) && !is_latent && !(is_raised && wants(centred))) {
        return;
    }
    const runtime::Network& asked = is_recall() ? *pre_ : post_;
    const runtime::Routing routing = is_recall() ? pre_->route(layer, input_.unsqueeze(0))
                                                 : runtime::Routing{.q = values.q, .k = values.k};
    const at::Tensor of_heads = sum_received_attention(routing,
                                                       positions_.to(values.q.device()),
                                                       is_raised ? weights_.squeeze(1) : weights_,
                                                       find_rules(asked, layer, values.slopes));
    if (is_latent) {
        add_latent_keys(layer, of_heads, is_raised);
        return;
    }
    const at::Tensor received = divide_among_heads(of_heads, input_.size(1));
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
