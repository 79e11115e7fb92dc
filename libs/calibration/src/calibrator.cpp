// SPDX-License-Identifier: Apache-2.0
#include "calibrator.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/predictions.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "text_sums.hpp"

namespace anamnesis::calibration {
namespace {

/// A whole tensor in float64.
at::Tensor read_values(const checkpoint::TensorEntry& entry) {
    std::vector<std::byte> bytes(entry.bytes);
    entry.read_at(0, bytes);
    at::Tensor values =
        at::empty(std::vector<std::int64_t>(entry.shape.begin(), entry.shape.end()), at::kDouble);
    widen(entry.dtype,
          bytes,
          std::span(values.mutable_data_ptr<double>(), static_cast<std::size_t>(values.numel())));
    return values;
}

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
    const std::size_t columns = rows.post->columns();
    auto* target = tensor.mutable_data_ptr<double>() + rows.post_row * columns;
    for (std::size_t row = 0; row < rows.rows; ++row) {
        std::memcpy(target + row * columns,
                    values.row(row).subspan(first_column, columns).data(),
                    columns * sizeof(double));
    }
}

}  // namespace

Calibrator::Calibrator(const restore::Plan& plan,
                       const runtime::LoadOptions& running,
                       const Watch& watch)
    : plan_(plan), running_(running), watch_(watch) {
    post_ = runtime::load_network(plan.post->checkpoint, plan.post->model, running);
    // Of pre only the softmax layers' routing runs: in the type of activations, whatever the file
    // has, and nothing else is widened.
    const at::ScalarType type = running.dtype == DType::f64 ? at::kDouble : at::kFloat;
    std::map<std::string, at::Tensor> routing;
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

void Calibrator::check(std::span<const language::SupervisedText> texts,
                       std::string_view source) const {
    const std::int64_t vocabulary = post_->spec().vocabulary_size;
    for (const language::SupervisedText& text : texts) {
        for (const std::vector<std::int64_t>* list : {&text.ids, &text.labels}) {
            for (const std::int64_t token : *list) {
                const bool is_label = list == &text.labels && token == language::unsupervised;
                if (!is_label && (token < 0 || token >= vocabulary)) {
                    throw Error(ErrorKind::mismatch,
                                format("{}: text {} has token {}, the vocabulary of post has "
                                       "0-{}; the texts belong to another tokenizer",
                                       source,
                                       in_quotes(text.id),
                                       token,
                                       vocabulary - 1));
                }
            }
        }
    }
}

void Calibrator::throw_if_stopped() const {
    anamnesis::throw_if_stopped(
        watch_, [] { return std::string("interrupted while calibrating; nothing was written"); });
}

MomentSums Calibrator::sum(restore::CalibrationSide side,
                           std::span<const language::SupervisedText> texts) const {
    TextSums sums(plan_, *post_, &*pre_, side);
    for (const language::SupervisedText& text : texts) {
        throw_if_stopped();
        sums.add(text, {});
        watch_.progress().advance(text.ids.size());
    }
    return sums.take();
}

MomentSums Calibrator::sum_raised(std::span<const language::SupervisedText> chains,
                                  const at::Tensor& weights) const {
    TextSums sums(plan_, *post_, &*pre_, restore::CalibrationSide::chains);
    std::int64_t first = 0;
    for (const language::SupervisedText& text : chains) {
        throw_if_stopped();
        const std::int64_t count = find_predicting(text).size(0);
        sums.add(text, weights.narrow(0, first, count));
        first += count;
        watch_.progress().advance(text.ids.size());
    }
    return sums.take();
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
                                const std::map<std::string, at::Tensor>& repaired) const {
    if (repaired.empty()) {
        return predict_with(*post_, texts);
    }
    // Everything else is post's own memory.
    std::map<std::string, at::Tensor> tensors = post_->parameters();
    for (const auto& [name, tensor] : repaired) {
        tensors[name] = tensor;
    }
    return predict_with(
        runtime::load_network(plan_.post->checkpoint, plan_.post->model, running_, tensors), texts);
}

std::map<std::string, at::Tensor> Calibrator::make_repair(const restore::MomentSource& moments,
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
    for (const restore::FitGroup& group : plan_.fits) {
        const restore::GroupMoments scaled = restore::load_group_moments(group, moments);
        std::vector<linalg::Matrix> rows = restore::compute_fit(group, scaled, mu);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const restore::HeadBlock& block = group.rows[i];
            if (is_rounded) {
                round_to(block.weight.post->dtype, rows[i].values());
            }
            put_rows(tensors.at(block.weight.post), block.weight, rows[i].view(), 0);
            if (block.bias) {
                put_rows(tensors.at(block.bias->post),
                         *block.bias,
                         rows[i].view(),
                         rows[i].columns() - 1);
            }
        }
    }
    const at::ScalarType type = running_.dtype == DType::f64 ? at::kDouble : at::kFloat;
    std::map<std::string, at::Tensor> repaired;
    for (const auto& [entry, tensor] : tensors) {
        repaired.emplace(entry->name, tensor.to(type));
    }
    return repaired;
}

}  // namespace anamnesis::calibration
