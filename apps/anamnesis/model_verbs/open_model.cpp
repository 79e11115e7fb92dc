// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/open_model.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "open_checkpoint.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

std::optional<DType> parse_dtype(const std::string& word) {
    return word.empty() ? std::nullopt : std::optional(parse_word(float_words, word, "--dtype"));
}

runtime::LoadOptions make_load_options(const ModelOptions& options, const CommonOptions& common) {
    runtime::LoadOptions load{.dtype = parse_dtype(options.dtype),
                              .cache_dtype = parse_dtype(options.cache_dtype),
                              .device = options.device,
                              .threads = common.threads};
    if (options.chunk != 0) {
        load.prefill_chunk = options.chunk;
    }
    if (!options.attn_logits_scaling.empty()) {
        load.length_scaling = options.attn_logits_scaling;
    }
    if (options.context_length != 0) {
        load.context_length = options.context_length;
    }
    if (!options.tokenizer.empty()) {
        load.tokenizer = options.tokenizer;
    }
    return load;
}

/// What of the weights the model does not use, and what else is more than a note.
std::vector<checkpoint::Finding> list_warnings(const checkpoint::RecognisedCheckpoint& files) {
    std::vector<checkpoint::Finding> findings = files.findings();
    std::erase_if(findings, [](const checkpoint::Finding& one) {
        return one.severity == checkpoint::Severity::note;
    });
    return findings;
}

checkpoint::RecognisedCheckpoint open_and_tell(const eval::AskedModel& model,
                                               const ReadingOptions& reading,
                                               const CommonOptions& common) {
    checkpoint::RecognisedCheckpoint files = open_with_adapter(model, reading);
    report_findings(list_warnings(files), {}, Terminal(common.quiet));
    return files;
}

}  // namespace

OpenedModel open_model(const eval::AskedModel& model,
                       const ModelOptions& options,
                       const ReadingOptions& reading,
                       const CommonOptions& common) {
    const checkpoint::RecognisedCheckpoint files = open_and_tell(model, reading, common);
    return {.model = in_context(
                [&] { return format("loading {}", in_quotes(model.place, 1000)); },
                [&] {
                    return runtime::HybridModel::load(
                        files.checkpoint, files.model, make_load_options(options, common));
                }),
            .findings = list_warnings(files)};
}

LoadedModel load_model(const eval::AskedModel& model,
                       const ModelOptions& how,
                       const ReadingOptions& reading,
                       const CommonOptions& common) {
    auto [opened, findings] = open_model(model, how, reading, common);
    return {.model = std::move(opened), .findings = std::move(findings)};
}

analysis::ModelLoading make_loading(const ModelOptions& options,
                                    const ReadingOptions& reading,
                                    const CommonOptions& common) {
    return {.open =
                [reading, common](const eval::AskedModel& model) {
                    return open_and_tell(model, reading, common);
                },
            .running = make_load_options(options, common)};
}

}  // namespace anamnesis::app
