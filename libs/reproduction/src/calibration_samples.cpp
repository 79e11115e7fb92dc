// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/calibration_samples.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"

namespace anamnesis::reproduction {
namespace {

namespace synthetic = train::synthetic;

constexpr std::size_t recall_texts = 32;
constexpr std::size_t recall_length = 256;
constexpr std::size_t chains = 64;
/// Apart from the seeds that people give.
constexpr std::uint64_t first_seed = 0xF17'0000'0000;

/// Predictions of running text are left out.
language::SupervisedText keep_answers(language::SupervisedText sample) {
    for (std::size_t i = 0; i < sample.labels.size(); ++i) {
        if (!sample.weights.empty() && sample.weights[i] != 1.0F) {
            sample.labels[i] = language::unsupervised;
        }
    }
    sample.weights.clear();
    return sample;
}

}  // namespace

calibration::CalibrationJob make_calibration_job(std::uint64_t seed) {
    constexpr std::array needles{
        synthetic::Needle::s1, synthetic::Needle::s2, synthetic::Needle::s3};
    Random random(first_seed + seed);
    std::vector<language::SupervisedText> recall;
    for (std::size_t i = 0; i < recall_texts; ++i) {
        recall.push_back(
            keep_answers(synthetic::retrieval(random,
                                              {.needle = needles.at(i % needles.size()),
                                               .length = recall_length,
                                               .needles = synthetic::most_needles})));
    }
    std::vector<language::SupervisedText> worked;
    for (std::size_t i = 0; i < chains; ++i) {
        worked.push_back(keep_answers(synthetic::chain_of_thought(random)));
    }
    calibration::CalibrationJob job;
    job.recall = calibration::describe_texts(std::move(recall),
                                             format("synthetic retrieval, seed {}", seed));
    job.chains =
        calibration::describe_texts(std::move(worked), format("synthetic chains, seed {}", seed));
    job.running.dtype = DType::f32;
    return job;
}

}  // namespace anamnesis::reproduction
