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

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
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

/// Of each length, kept free for the answer; and the longest of the shorter lengths.
constexpr std::size_t answer_tokens = 64;
constexpr std::size_t longest_start = 4096;

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

std::vector<language::SupervisedText> make_texts(const eval::HaystackPlan& plan,
                                                 const language::Tokenizer& tokenizer) {
    eval::NiahMaterials materials = eval::make_materials(plan, tokenizer);
    std::vector<language::SupervisedText> texts;
    for (const eval::NiahSettings& how : eval::make_generators(plan)) {
        eval::NiahGenerator generator(how, materials);
        for (std::uint64_t i = 0; i < plan.samples; ++i) {
            texts.push_back(make_text(generator.next(), tokenizer));
        }
    }
    return texts;
}

}  // namespace

CalibrationTexts make_needle_texts(const checkpoint::RecognisedCheckpoint& post,
                                   const std::optional<std::filesystem::path>& tokenizer) {
    const language::Tokenizer opened =
        language::Tokenizer::open(tokenizer.value_or(post.checkpoint.folder()));
    eval::HaystackPlan plan{
        .tasks = {"s1", "s2", "s3"}, .seed = seed, .tokens_to_generate = answer_tokens};
    plan.samples = count_samples(post.model.hidden_size, 2);
    for (std::size_t shortest = 512;; shortest *= 2) {
        plan.lengths = {shortest, 2 * shortest};
        try {
            return describe_texts(make_texts(plan, opened),
                                  format("niah: s1, s2, s3 at {} and {} tokens",
                                         plan.lengths.front(),
                                         plan.lengths.back()));
        } catch (const Error& error) {
            // A tokenizer of short tokens needs more of them for the same words.
            if (error.kind() != ErrorKind::usage || shortest >= longest_start) {
                throw;
            }
        }
    }
}

}  // namespace anamnesis::calibration
