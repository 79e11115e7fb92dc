// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/measurement.hpp"

namespace anamnesis::reproduction {

/// The synthetic tasks asked of checkpoints of the synthetic language.
struct ProbeJob {
    struct Probed {
        std::string name{};
        std::string path{};
    };
    std::vector<Probed> checkpoints{};
    checkpoint::OpenOptions opening{};
    checkpoint::RecogniseOptions recognising{};
    Questions questions{};
    unsigned threads = 0;  ///< 0: every core this process may use
};

/// Asks each checkpoint the same questions.
/// Errors: `usage` for a length that is given twice; `mismatch` for a checkpoint of another
///         vocabulary; `cancelled` after a stop; those of the checkpoint.
std::vector<NamedMeasurement> run_probe(const ProbeJob& job, const Watch& watch = {});

}  // namespace anamnesis::reproduction
