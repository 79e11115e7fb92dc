// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/dissection/dissect.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::dissection {

/// Every second text chooses, the others tell.
enum class Half : std::uint8_t { choosing, telling };

/// What some weights predict of the texts of one half, a value a text.
struct Scores {
    std::vector<double> recall{};  ///< mean -ln p of the predicted tokens
    std::vector<double> reasoning{};
    std::size_t right_recall = 0;
    std::size_t right_reasoning = 0;
};

/// Before anything is loaded. Errors: `mismatch` where no tensor of the pair differs.
void require_difference(const DissectionJob& job, const Watch& watch);

/// Errors: `numerical` where `side` does not run: nothing can be held against it.
void require_numbers(const Scores& scores, const char* side);

using Tensors = std::map<std::string, at::Tensor>;

/// The pair under the knife: puts weights together in memory, asks them, and remembers the answers.
class Subject {
public:
    Subject(const DissectionJob& job, const Watch& watch);

    /// Texts of a side in the half that chooses; the smaller of both sides.
    std::size_t count_choosing() const;

    /// Pre's rows in post for each request in turn, or post's in pre. Nothing where no byte
    /// changes. Errors: those of `restore::make_plan` and of a calibration.
    std::optional<Tensors> make(const std::vector<restore::Request>& requests,
                                bool is_reversed = false) const;

    /// Answers of pre or post with tensors in place of its own; read back where the folder has
    /// them. `texts`: of each side at most, 0: all of the half.
    Scores ask(const std::string& name,
               bool is_pre,
               const Tensors& tensors,
               Half half,
               std::size_t texts = 0);

    /// The same where the answers are there already.
    std::optional<Scores> find_answers(const std::string& name, Half half, std::size_t texts) const;

private:
    using Texts = std::vector<language::SupervisedText>;

    void calibrate(restore::Plan& plan) const;
    std::string make_key(const std::string& name, Half half, std::size_t texts) const;

    const DissectionJob& job_;
    const Watch& watch_;
    Texts texts_[2][2];  ///< [recall, reasoning][choosing, telling]
    runtime::Network pre_;
    runtime::Network post_;
    eval::RunFolder folder_;
    std::map<std::string, Scores> known_;
};

}  // namespace anamnesis::dissection
