// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
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

/// The rows that a selection names: groups joined by '+', of q, k, v, o, gate, latent, mlp, mixer,
/// norms, embedding, head, and qk for q+k; then, if not of all layers, '@' and layers: "qk@3,7",
/// "mlp+norms@0-5". Rows of q, k, v, gate and latent are those of softmax layers; a tensor that
/// holds queries and gates (Qwen3-Next) is cut.
/// Errors: `usage` for a word that is no group or a layer that is not there; `not_found` where
/// nothing is selected.
std::map<std::string, std::vector<checkpoint::RowRange>> select_rows(
    const checkpoint::Checkpoint& checkpoint,
    const checkpoint::Model& model,
    std::string_view selection);

/// What the command line asks for.
struct RuleWords {
    std::vector<std::string> frozen{};   ///< selections
    std::vector<std::string> rates{};    ///< "SELECTION=0.1"
    std::vector<std::string> anchors{};  ///< "SELECTION=0.01"
};

/// Errors: as `select_rows`; `usage` for a number that is none, or rows with two rates or anchors.
RowRules row_rules_of(const checkpoint::Checkpoint& checkpoint,
                      const checkpoint::Model& model,
                      const RuleWords& words);

}  // namespace anamnesis::train
