// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/open_model.hpp"

#include <memory>
#include <optional>
#include <string>

#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "load_model.hpp"
#include "open_checkpoint.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"

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

}  // namespace

eval::AskedModel name_model(const std::string& checkpoint, const ModelOptions& options) {
    if (options.adapters.size() > 1) {
        throw Error(ErrorKind::usage, "a model is run with one --adapter, and several are given");
    }
    return {.name = "model",
            .place = checkpoint,
            .adapter = options.adapters.empty() ? std::string() : options.adapters.front()};
}

std::unique_ptr<runtime::HybridModel> open_model(const eval::AskedModel& model,
                                                 const ModelOptions& options,
                                                 const ReadingOptions& reading,
                                                 const CommonOptions& common) {
    const checkpoint::RecognisedCheckpoint files = open_with_adapter(model, reading);
    return in_context([&] { return format("loading {}", in_quotes(model.place, 1000)); },
                      [&] {
                          return runtime::HybridModel::load(
                              files.checkpoint, files.model, make_load_options(options, common));
                      });
}

std::unique_ptr<language::LanguageModel> load_model(const eval::AskedModel& model,
                                                    const ModelOptions& how,
                                                    const ReadingOptions& reading,
                                                    const CommonOptions& common) {
    return open_model(model, how, reading, common);
}

analysis::ModelLoading make_loading(const ModelOptions& options,
                                    const ReadingOptions& reading,
                                    const CommonOptions& common) {
    return {
        .open =
            [reading](const eval::AskedModel& model) { return open_with_adapter(model, reading); },
        .running = make_load_options(options, common)};
}

}  // namespace anamnesis::app
