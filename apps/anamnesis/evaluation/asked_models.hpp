// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/evaluation.hpp"
#include "options.hpp"

namespace anamnesis::app {

/// A checkpoint of an evaluation.
struct AskedModel {
    std::string name;   ///< in results and reports
    std::string place;  ///< its folder, or what a server calls it
};

/// Errors: `usage` for none, or a name given twice.
std::vector<AskedModel> asked_models(const AskingOptions& options);

/// Where the tokenizer is: --tokenizer, or the first checkpoint's folder.
/// Errors: `usage` where an endpoint is asked and no tokenizer is given.
std::string tokenizer_folder(const AskingOptions& options, const std::vector<AskedModel>& models);

/// A back end with all that it stands on.
class Asked {
public:
    /// Errors: as the loading of the model, or of the server's list.
    Asked(const AskedModel& model,
          const AskingOptions& options,
          const CommonOptions& common,
          const language::Tokenizer* tokenizer,
          const OpenModel& open);

    eval::BackEnd& back_end() { return *back_end_; }
    /// How prompts are written before they are sent.
    const eval::PromptForm& form() const { return form_; }
    /// For the run's record: where it is, what it is, its digest.
    Json description() const;

private:
    AskedModel model_;
    eval::PromptForm form_;
    std::unique_ptr<language::LanguageModel> embedded_;
    std::unique_ptr<eval::BackEnd> back_end_;
    std::string digest_;
};

/// SHA-256 of a checkpoint's config and of a sample of its weights: 4 kB of every megabyte, which
/// every large tensor has a part in. Tells checkpoints apart without reading them whole.
std::string sampled_digest(const std::string& folder);

}  // namespace anamnesis::app
