// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

/// The answers to one task at one length.
struct NeedleScore {
    std::string task{};
    std::size_t length = 0;
    std::size_t samples = 0;
    double mean = 0.0;  ///< of the samples' scores, in [0, 1]
};

/// `samples` samples of every generator, which are then asked as often as one likes.
/// Errors: `usage` for a length that no haystack fits; `cancelled` after a stop.
std::vector<Sample> make_samples(const std::vector<NiahSettings>& generators,
                                 std::size_t samples,
                                 NiahMaterials& materials,
                                 const Watch& watch = {});

/// Asks every sample and grades the answers as they come; no file is written. In the order in which
/// tasks and lengths first occur.
/// Errors: `cancelled` after a stop, which is seen between questions and inside them; `unsupported`
///         for a question that the back end cannot answer, naming it.
std::vector<NeedleScore> score_needles(BackEnd& back_end,
                                       const std::vector<Sample>& samples,
                                       const NiahAsking& asking,
                                       const Watch& watch = {});

/// The share of right answers, in [0, 1]. Errors: as `score_needles`.
double score_problems(BackEnd& back_end,
                      const std::vector<Problem>& problems,
                      const ReasonAsking& asking,
                      const Watch& watch = {});

}  // namespace anamnesis::eval
