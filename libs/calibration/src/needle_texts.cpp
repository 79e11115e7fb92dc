// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::calibration {
namespace {

constexpr std::uint64_t seed = 20'001;

/// Answer tokens of one sample of each task, about.
constexpr double tokens_of_three = 40.0;

std::uint64_t count_samples(std::uint64_t inputs, std::size_t lengths) {
    const double wanted = 0.4 * static_cast<double>(inputs);
    const double samples = wanted / tokens_of_three / static_cast<double>(lengths);
    return std::max<std::uint64_t>(8, static_cast<std::uint64_t>(std::ceil(samples)));
}

language::SupervisedText make_text(const eval::Sample& sample,
                                   const language::Tokenizer& tokenizer) {
    const std::string prompt = sample.prompt();
    language::SupervisedText text;
    text.id = sample.task;
    for (const language::TokenId token : tokenizer.encode(prompt, {.adds_special = true})) {
        text.ids.push_back(token);
        text.labels.push_back(language::unsupervised);
    }
    const bool is_after_space = prompt.ends_with(' ') || prompt.ends_with('\n');
    for (const language::TokenId token :
         tokenizer.encode((is_after_space ? "" : " ") + sample.references.front())) {
        text.ids.push_back(token);
        text.labels.push_back(token);
    }
    return text;
}

}  // namespace

CalibrationTexts make_needle_texts(const checkpoint::RecognisedCheckpoint& post,
                                   const std::optional<std::filesystem::path>& tokenizer) {
    const language::Tokenizer opened =
        language::Tokenizer::open(tokenizer.value_or(post.checkpoint.folder()));
    eval::HaystackPlan plan{.tasks = {"s1", "s2", "s3"}, .lengths = {512, 1024}, .seed = seed};
    plan.samples = count_samples(post.model.hidden_size, plan.lengths.size());
    eval::NiahMaterials materials = eval::make_materials(plan, opened);
    std::vector<language::SupervisedText> texts;
    for (const eval::NiahOptions& how : eval::make_generators(plan)) {
        eval::NiahGenerator generator(how, materials);
        for (std::uint64_t i = 0; i < plan.samples; ++i) {
            texts.push_back(make_text(generator.next(), opened));
        }
    }
    return describe_texts(std::move(texts), "niah: s1, s2, s3 at 512 and 1024 tokens");
}

}  // namespace anamnesis::calibration
