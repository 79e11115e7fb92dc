// SPDX-License-Identifier: Apache-2.0
#include "subject.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/calibration/predictions.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/dissection/dissect.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/sampled_digest.hpp"
#include "anamnesis/restore/equal_weights.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/repaired_rows.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/running.hpp"

namespace anamnesis::dissection {
namespace {

std::size_t index(Half half) {
    return half == Half::choosing ? 0 : 1;
}

/// A family and a config of the user's own are not in the folder, nor in its digest.
Json describe_reading(const checkpoint::RecognisedCheckpoint& one) {
    return Json::Object{{"family", one.model.family},
                        {"config_sha256", compute_sha256(one.checkpoint.config().dump())}};
}

Json make_settings(const DissectionJob& job) {
    Json settings = Json::Object{{"kind", "dissect"},
                                 {"pre", io::sampled_digest(job.pre->checkpoint.path().string())},
                                 {"post", io::sampled_digest(job.post->checkpoint.path().string())},
                                 {"recall", job.recall.description.at("tokens_sha256")},
                                 {"reasoning", job.reasoning.description.at("tokens_sha256")},
                                 {"pre_read_as", describe_reading(*job.pre)},
                                 {"post_read_as", describe_reading(*job.post)}};
    runtime::describe_running(job.running, settings);
    return settings;
}

Json to_json(const std::vector<double>& values) {
    Json list = Json::array();
    for (const double value : values) {
        list.push_back(value);
    }
    return list;
}

std::vector<double> read_values(const Json& json) {
    std::vector<double> values;
    for (const Json& value : json.as_array("losses")) {
        values.push_back(value.as_double("losses"));
    }
    return values;
}

Scores read_scores(const Json& line) {
    return {.recall = read_values(line.at("recall")),
            .reasoning = read_values(line.at("reasoning")),
            .right_recall = line.at("right_recall").as_unsigned("right_recall"),
            .right_reasoning = line.at("right_reasoning").as_unsigned("right_reasoning")};
}

/// Whole tensors as bytes, with rows of one plan after another in them.
class Overlay {
public:
    void add(const restore::Plan& plan, const restore::Execution& execution) {
        for (const restore::RepairedRows& rows : restore::make_repaired_rows(plan, execution)) {
            const checkpoint::TensorEntry& entry = *rows.change->post;
            const auto [found, is_new] = tensors_.try_emplace(&entry);
            if (is_new) {
                found->second.resize(entry.bytes);
                entry.read_at(0, found->second);
            }
            std::size_t from = 0;
            for (const restore::RowSplice& splice : rows.change->splices) {
                const std::size_t size = splice.rows.size() * entry.row_bytes();
                std::byte* target = found->second.data() + splice.rows.begin * entry.row_bytes();
                changes_ = changes_ || std::memcmp(target, rows.bytes.data() + from, size) != 0;
                std::memcpy(target, rows.bytes.data() + from, size);
                from += size;
            }
        }
    }

    bool changes_anything() const { return changes_; }

    Tensors finish(at::ScalarType type) const {
        Tensors tensors;
        for (const auto& [entry, bytes] : tensors_) {
            at::Tensor values = at::empty(
                std::vector<std::int64_t>(entry->shape.begin(), entry->shape.end()), at::kDouble);
            widen(entry->dtype,
                  bytes,
                  std::span(values.mutable_data_ptr<double>(),
                            static_cast<std::size_t>(values.numel())));
            tensors.emplace(entry->name, values.to(type));
        }
        return tensors;
    }

private:
    std::map<const checkpoint::TensorEntry*, std::vector<std::byte>> tensors_;
    bool changes_ = false;
};

/// In memory nothing is harmed: what a user would have to allow is allowed.
restore::Request allow_everything(restore::Request request) {
    for (const auto& word : restore::allowance_words) {
        request.allowed.insert(word.value);
    }
    return request;
}

}  // namespace

void require_difference(const DissectionJob& job, const Watch& watch) {
    if (restore::are_weights_equal(*job.pre, *job.post, watch)) {
        throw Error(ErrorKind::mismatch,
                    format("{} and {} hold the same weights, and there is no damage to locate; "
                           "give --pre the checkpoint before the fine-tune and --post the one "
                           "after it",
                           in_quotes(job.pre->checkpoint.path().string(), 1000),
                           in_quotes(job.post->checkpoint.path().string(), 1000)));
    }
}

void require_numbers(const Scores& scores, const char* side) {
    const auto is_number = [](double loss) { return std::isfinite(loss); };
    if (!std::ranges::all_of(scores.recall, is_number) ||
        !std::ranges::all_of(scores.reasoning, is_number)) {
        throw Error(ErrorKind::numerical,
                    format("the loss of {} on a text is not a number; 'anamnesis doctor' names "
                           "tensors with NaN",
                           side));
    }
}

Subject::Subject(const DissectionJob& job, const Watch& watch)
    : job_(job),
      watch_(watch),
      pre_(runtime::load_network(job.pre->checkpoint, job.pre->model, job.running)),
      post_(runtime::load_network(job.post->checkpoint, job.post->model, job.running)),
      folder_(eval::RunFolder::open(job.out, make_settings(job), {})) {
    calibration::require_two_sides(job.recall, job.reasoning);
    const calibration::CalibrationTexts* sides[] = {&job.recall, &job.reasoning};
    for (std::size_t side = 0; side < 2; ++side) {
        for (std::size_t i = 0; i < sides[side]->texts.size(); ++i) {
            texts_[side][i % 2].push_back(sides[side]->texts[i]);
        }
        if (sides[side]->texts.size() < 4) {
            throw Error(ErrorKind::mismatch,
                        format("there are {} {} texts, of which half chooses and half tells; give "
                               "at least 4, better 50",
                               sides[side]->texts.size(),
                               side == 0 ? "recall" : "reasoning"));
        }
    }
    for (const Json& line : folder_.results().lines()) {
        known_.emplace(line.at("key").as_string("'key'"), read_scores(line));
    }
}

std::size_t Subject::count_choosing() const {
    return std::min(texts_[0][0].size(), texts_[1][0].size());
}

void Subject::calibrate(restore::Plan& plan) const {
    calibration::CalibrationJob calibrating;
    calibrating.recall = calibration::describe_texts(texts_[0][0], "the half that chooses");
    calibrating.chains = calibration::describe_texts(texts_[1][0], "the half that chooses");
    calibrating.running = job_.running;
    calibration::calibrate(plan, calibrating, watch_.without_progress());
}

std::optional<Tensors> Subject::make(const std::vector<restore::Request>& requests,
                                     bool is_reversed) const {
    const restore::Execution execution{.threads = std::max(1U, job_.running.threads),
                                       .watch = watch_.without_progress()};
    Overlay overlay;
    for (const restore::Request& request : requests) {
        restore::Plan plan = restore::make_plan(is_reversed ? *job_.post : *job_.pre,
                                                is_reversed ? *job_.pre : *job_.post,
                                                allow_everything(request));
        if (request.selection.method == restore::Method::fit) {
            calibrate(plan);
        }
        overlay.add(plan, execution);
    }
    if (!overlay.changes_anything()) {
        return std::nullopt;
    }
    return overlay.finish(job_.running.dtype == DType::f64 ? at::kDouble : at::kFloat);
}

std::string Subject::make_key(const std::string& name, Half half, std::size_t texts) const {
    return format("{} | {} | {}", name, half == Half::choosing ? "choosing" : "telling", texts);
}

std::optional<Scores> Subject::find_answers(const std::string& name,
                                            Half half,
                                            std::size_t texts) const {
    const auto found = known_.find(make_key(name, half, texts));
    return found == known_.end() ? std::nullopt : std::optional(found->second);
}

Scores Subject::ask(
    const std::string& name, bool is_pre, const Tensors& tensors, Half half, std::size_t texts) {
    if (auto known = find_answers(name, half, texts)) {
        return *known;
    }
    const runtime::Network& base = is_pre ? pre_ : post_;
    const checkpoint::RecognisedCheckpoint& files = is_pre ? *job_.pre : *job_.post;
    Tensors all = base.parameters();
    for (const auto& [tensor, values] : tensors) {
        all[tensor] = values;
    }
    const runtime::Network network =
        runtime::load_network(files.checkpoint, files.model, job_.running, all);
    Scores scores;
    // Whoever asks shows how far it is.
    const Watch silent = watch_.without_progress();
    const auto ask_side = [&](std::size_t side, std::vector<double>& losses) {
        const Texts& half_texts = texts_[side][index(half)];
        const std::size_t count =
            texts == 0 ? half_texts.size() : std::min(texts, half_texts.size());
        std::size_t right = 0;
        for (const calibration::TextPredictions& text :
             calibration::predict(network, std::span(half_texts).first(count), silent)) {
            losses.push_back(std::accumulate(text.losses.begin(), text.losses.end(), 0.0) /
                             static_cast<double>(text.losses.size()));
            right += text.is_right() ? 1 : 0;
        }
        return right;
    };
    scores.right_recall = ask_side(0, scores.recall);
    scores.right_reasoning = ask_side(1, scores.reasoning);
    const std::string key = make_key(name, half, texts);
    folder_.results().append(
        Json::Object{{"key", key},
                     {"recall", to_json(scores.recall)},
                     {"reasoning", to_json(scores.reasoning)},
                     {"right_recall", std::uint64_t{scores.right_recall}},
                     {"right_reasoning", std::uint64_t{scores.right_reasoning}}});
    known_.emplace(key, scores);
    return scores;
}

}  // namespace anamnesis::dissection
