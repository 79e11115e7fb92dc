// SPDX-License-Identifier: Apache-2.0
#include "calibrator.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/predictions.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "adapter_factors.hpp"
#include "moment_sums.hpp"
#include "tensor_values.hpp"
#include "text_sums.hpp"

namespace anamnesis::calibration {
namespace {

/// Every eighth text of a side is held back to measure a fit with, where there are enough.
/// Source: docs/method.md, "Fit".
constexpr std::size_t held_back_of = 8;
constexpr std::size_t least_held_back_from = 16;

/// Through the type that the checkpoint stores, rounded once.
void round_to(DType dtype, std::span<double> values) {
    std::vector<std::byte> bytes(values.size() * element_bytes(dtype));
    narrow(dtype, values, bytes);
    widen(dtype, bytes, values);
}

/// Puts rows of a block where they belong; the column is the bias's, or the first of the weight's.
void put_rows(at::Tensor& tensor,
              const restore::HeadRows& rows,
              linalg::MatrixView<const double> values,
              std::size_t first_column) {
    const std::vector<double> stored = restore::order_as_stored(rows, values, first_column);
    std::memcpy(tensor.mutable_data_ptr<double>() + rows.post_row * rows.post->columns(),
                stored.data(),
                stored.size() * sizeof(double));
}

/// The texts of a side between two layers.
class TextsOnTheirWay {
public:
    TextsOnTheirWay(const restore::Plan& plan,
                    const runtime::Network& post,
                    const runtime::Network* pre,
                    const SideTexts& texts)
        : texts_(texts),
          seen_(plan, post, pre, texts.side),
          held_back_(plan, post, pre, texts.side) {
        for (std::size_t i = 0; i < texts.texts.size(); ++i) {
            streams_.push_back(sums_of(i).enter(texts.texts[i], weights_of(i)));
        }
    }

    std::size_t count_layers() const { return seen_.count_layers(); }

    /// `advance` is told the tokens of each text.
    void pass(LayerIndex layer, const std::function<void(std::uint64_t tokens)>& advance) {
        for (std::size_t i = 0; i < streams_.size(); ++i) {
            streams_[i] = sums_of(i).pass(layer, texts_.texts[i], weights_of(i), streams_[i]);
            advance(texts_.texts[i].ids.size());
        }
    }

    void leave() {
        for (std::size_t i = 0; i < streams_.size(); ++i) {
            sums_of(i).leave(texts_.texts[i], weights_of(i), streams_[i]);
        }
    }

    /// What was added since the last time.
    MomentSums take() {
        MomentSums all = seen_.take();
        all.add_held_back(held_back_.take());
        return all;
    }

private:
    TextSums& sums_of(std::size_t i) {
        const bool holds_back =
            texts_.weights.empty() && texts_.texts.size() >= least_held_back_from;
        return holds_back && i % held_back_of == 0 ? held_back_ : seen_;
    }
    at::Tensor weights_of(std::size_t i) const {
        return texts_.weights.empty() ? at::Tensor() : texts_.weights[i];
    }

    SideTexts texts_;
    TextSums seen_;
    TextSums held_back_;
    std::vector<at::Tensor> streams_;
};

}  // namespace

Calibrator::Calibrator(const restore::Plan& plan,
                       const runtime::LoadOptions& running,
                       const Watch& watch)
    : plan_(plan), running_(running), watch_(watch) {
    const at::ScalarType type = running.dtype == DType::f64 ? at::kDouble : at::kFloat;
    factor_options_ = at::TensorOptions(type).device(runtime::parse_device(running.device));
    post_ = load(plan.adapter != nullptr ? read_saved(*plan.adapter) : Tensors(), {});
    if (plan.adapter != nullptr) {
        refuse_left_out(*plan.adapter, *post_);
    }
    // Of pre only the softmax layers' routing runs: in the type of activations, whatever the file
    // has, and nothing else is widened.
    Tensors routing;
    for (const checkpoint::AttentionTensor& tensor : plan.pre->model.attention) {
        if (tensor.group == checkpoint::AttentionGroup::weight && !tensor.is_draft_head) {
            routing.emplace(tensor.name,
                            read_values(plan.pre->checkpoint.at(tensor.name)).to(type));
        }
    }
    runtime::LoadOptions as_stored = running;
    as_stored.dtype = running.dtype == DType::f64 ? running.dtype : std::nullopt;
    pre_ = runtime::load_network(plan.pre->checkpoint, plan.pre->model, as_stored, routing);
}

runtime::Network Calibrator::load(const Tensors& replacements, const Tensors& factors) const {
    return runtime::load_network(plan_.post->checkpoint,
                                 plan_.post->model,
                                 running_,
                                 replacements,
                                 plan_.adapter != nullptr
                                     ? choose_factors(*plan_.adapter, factor_options_, factors)
                                     : runtime::AdapterChoice());
}

void Calibrator::check(std::span<const language::SupervisedText> texts,
                       std::string_view source) const {
    language::require_known_tokens(texts, source, post_->spec().vocabulary_size);
}

void Calibrator::throw_if_stopped() const {
    anamnesis::throw_if_stopped(
        watch_, [] { return std::string("interrupted while calibrating; nothing was written"); });
}

void Calibrator::visit(std::span<const SideTexts> sides, const TakeMoments& take) const {
    std::vector<TextsOnTheirWay> on_their_way;
    std::size_t layers = 0;
    for (const SideTexts& texts : sides) {
        on_their_way.emplace_back(plan_, *post_, &*pre_, texts);
        layers = on_their_way.back().count_layers();
    }
    for (std::size_t layer = 0; layer < layers; ++layer) {
        for (TextsOnTheirWay& side : on_their_way) {
            side.pass(LayerIndex(static_cast<std::uint32_t>(layer)), [&](std::uint64_t tokens) {
                throw_if_stopped();
                watch_.progress().advance(tokens * (layer + 1) / layers - tokens * layer / layers);
            });
            take(side.take());
        }
    }
    for (TextsOnTheirWay& side : on_their_way) {
        side.leave();
        take(side.take());
    }
}

MomentSums Calibrator::sum(restore::CalibrationSide side,
                           std::span<const language::SupervisedText> texts) const {
    MomentSums all;
    const SideTexts one{.side = side, .texts = texts};
    visit({&one, 1}, [&](MomentSums layer) { all.merge(std::move(layer)); });
    return all;
}

MomentSums Calibrator::sum_raised(std::span<const language::SupervisedText> chains,
                                  const at::Tensor& weights) const {
    std::vector<at::Tensor> of_texts;
    std::int64_t first = 0;
    for (const language::SupervisedText& text : chains) {
        const std::int64_t count = find_predicting(text).size(0);
        of_texts.push_back(weights.narrow(0, first, count));
        first += count;
    }
    MomentSums all;
    const SideTexts one{
        .side = restore::CalibrationSide::chains, .texts = chains, .weights = of_texts};
    visit({&one, 1}, [&](MomentSums layer) { all.merge(std::move(layer)); });
    return all;
}

Predictions Calibrator::predict_with(const runtime::Network& network,
                                     std::span<const language::SupervisedText> texts) const {
    Predictions made;
    std::vector<double> losses;
    for (const TextPredictions& text : calibration::predict(network, texts, watch_)) {
        losses.insert(losses.end(), text.losses.begin(), text.losses.end());
        made.right_tokens += text.right;
        made.right_texts += text.is_right() ? 1 : 0;
    }
    made.losses = at::tensor(losses, at::kDouble);
    return made;
}

Predictions Calibrator::predict(std::span<const language::SupervisedText> texts,
                                const Tensors& repaired) const {
    if (repaired.empty()) {
        return predict_with(*post_, texts);
    }
    // Everything else is post's own memory.
    Tensors tensors = post_->parameters();
    if (plan_.adapter != nullptr) {
        return predict_with(load(tensors, repaired), texts);
    }
    for (const auto& [name, tensor] : repaired) {
        tensors[name] = tensor;
    }
    return predict_with(load(tensors, {}), texts);
}

Tensors Calibrator::make_repair(const restore::MomentSource& moments,
                                double mu,
                                bool is_rounded) const {
    std::map<const checkpoint::TensorEntry*, at::Tensor> tensors;
    for (const restore::TensorChange& change : plan_.changes) {
        at::Tensor& tensor = tensors[change.post];
        tensor = read_values(*change.post);
        if (change.splices.front().source == restore::RowSource::pre) {
            tensor = read_values(*change.pre);  // gains, whole
        }
    }
    const auto put_in = [&](const restore::HeadRows& rows,
                            linalg::MatrixView<const double> values,
                            std::size_t first_column) {
        at::Tensor& tensor = tensors[rows.post];
        if (!tensor.defined()) {
            tensor = read_values(*rows.post);  // a factor of an adapter
        }
        put_rows(tensor, rows, values, first_column);
    };
    for (const restore::FitGroup& group : plan_.fits) {
        const restore::GroupMoments scaled = restore::load_group_moments(group, moments);
        const auto put = [&](const restore::HeadBlock& block, linalg::Matrix rows) {
            if (is_rounded) {
                round_to(block.weight.post->dtype, rows.values());
            }
            put_in(block.weight, rows.view(), 0);
            if (block.bias) {
                put_in(*block.bias, rows.view(), rows.columns() - 1);
            }
        };
        restore::compute_fit(
            group, scaled, {.mu = mu, .scales_inputs = plan_.request.fit.scales_inputs}, put);
    }
    Tensors repaired;
    for (const auto& [entry, tensor] : tensors) {
        repaired.emplace(entry->name, tensor.to(factor_options_.dtype().toScalarType()));
    }
    return repaired;
}

}  // namespace anamnesis::calibration
