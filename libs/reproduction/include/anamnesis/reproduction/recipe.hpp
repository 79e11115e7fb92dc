// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/train/synthetic/source.hpp"

namespace anamnesis::reproduction {

/// One training run: what on, how long, how fast.
struct Course {
    train::synthetic::Task task = train::synthetic::Task::mix;
    std::vector<train::synthetic::Stage> stages{};
    double learning_rate = 0.0;
    std::uint64_t warmup = 0;
    double min_ratio = 0.05;  ///< of the learning rate, at the end of the cosine
    double weight_decay = 0.01;
    std::vector<std::string> rates{};  ///< "SELECTION=0.1", as of `train --lr-scale`
};

/// Everything that decides what a seed gives.
struct Recipe {
    std::string name{};
    Json hybrid{};  ///< config.json
    Json twin{};    ///< the same with softmax attention in every layer; null: none is made
    Course pretraining{};
    Course cot{};                        ///< fine-tuning on chains of thought
    Course instruction{};                ///< fine-tuning on questions that are answered without one
    std::vector<double> lambdas{};       ///< of QK-Pro, relative
    double alpha = 0.5;                  ///< of lerp
    std::vector<std::size_t> lengths{};  ///< of haystacks, in tokens
    std::size_t recall_samples = 0;      ///< of each needle and length
    std::size_t reasoning_samples = 0;
    std::size_t gradient_examples = 0;  ///< of each data set
    std::uint64_t evaluation_seed = 0;  ///< the same questions for every checkpoint and seed
};

/// The one that docs/reproduction.md reports.
Recipe standard_recipe();

/// A model of 4.3 million weights with two softmax layers, all of whose weights are fine-tuned at
/// one rate; without a twin.
Recipe wide_recipe();

/// The same steps in a minute or two, most of which is what `fit` computes, to see that they work;
/// its figures mean nothing.
Recipe quick_recipe();

Json to_json(const Course& course);
/// As it stands in reports, and what tells one recipe from another.
Json to_json(const Recipe& recipe);

}  // namespace anamnesis::reproduction
