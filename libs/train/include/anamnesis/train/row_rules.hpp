// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::train {

/// How some rows of a tensor learn.
struct RowRule {
    checkpoint::RowRange rows{};
    double rate = 1.0;    ///< of the learning rate; 0: the rows stay as they are, bit for bit
    double anchor = 0.0;  ///< adds anchor / 2 * |w - start|^2 to the loss
};

/// By tensor name. Rows without a rule learn as everything does.
using RowRules = std::map<std::string, std::vector<RowRule>>;

/// What the command line asks for.
struct RuleWords {
    std::vector<std::string> frozen{};   ///< selections (checkpoint/row_selection.hpp)
    std::vector<std::string> rates{};    ///< "SELECTION=0.1"
    std::vector<std::string> anchors{};  ///< "SELECTION=0.01"
};

/// Errors: those of `checkpoint::select_rows`; `usage` for a number that is none, or rows with two
/// rates or anchors.
RowRules make_row_rules(const checkpoint::Checkpoint& checkpoint,
                        const checkpoint::Model& model,
                        const RuleWords& words);

/// Errors: `usage` where no row of any tensor learns.
void require_learning(const checkpoint::Checkpoint& checkpoint, const RowRules& rules);

}  // namespace anamnesis::train
