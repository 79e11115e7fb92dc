// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// What the values of one tensor say.
struct TensorHealth {
    const checkpoint::TensorEntry* tensor = nullptr;
    std::uint64_t nans = 0;
    std::uint64_t infinities = 0;
    std::uint64_t first_non_finite = 0;  ///< its element, where there is one
    bool is_constant = false;            ///< all bytes of all elements are the same
    double largest = 0.0;                ///< of the absolute values, scales left out
    double rms = 0.0;                    ///< of a sixteenth of the values; 0 for types without any
    std::uint64_t digest = 0;            ///< equal for equal bytes
};

/// A checkpoint that was looked at.
struct CheckpointHealth {
    const checkpoint::RecognisedCheckpoint* source = nullptr;
    std::vector<TensorHealth> tensors;  ///< in the order of the checkpoint's
};

/// Whether a method can repair the pair; why not.
struct MethodVerdict {
    Method method = Method::qk;
    bool is_possible = false;
    bool is_needless = false;  ///< its rows are the same in pre and post
    std::string reason{};
};

struct Diagnosis {
    std::vector<CheckpointHealth> checkpoints;  ///< one, or pre and post
    std::vector<checkpoint::Finding> findings;
    std::vector<MethodVerdict> methods;  ///< empty for one checkpoint
    std::string command{};               ///< that repairs the pair; empty where none does

    bool has_errors() const;
};

/// Looks at one checkpoint: its files, names, config and tokenizer, and every value once.
/// Cost: reads the weights once, a few MB of memory for each thread.
Diagnosis examine(const checkpoint::RecognisedCheckpoint& source, const Execution& execution);

/// The same for both of a pair, and for the pair: whether it can be repaired, and how.
Diagnosis examine(const checkpoint::RecognisedCheckpoint& pre,
                  const checkpoint::RecognisedCheckpoint& post,
                  const Execution& execution);

/// What `doctor --json` prints (docs/json.md).
Json make_diagnosis_json(const Diagnosis& diagnosis);
report::Document make_diagnosis_document(const Diagnosis& diagnosis);
std::string make_diagnosis_text(const Diagnosis& diagnosis);

}  // namespace anamnesis::restore
