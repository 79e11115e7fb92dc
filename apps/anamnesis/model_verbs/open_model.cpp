// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/open_model.hpp"

#include <memory>
#include <optional>
#include <string>

#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "open_checkpoint.hpp"
#include "options.hpp"

namespace anamnesis::app {
namespace {

std::optional<DType> dtype_of(const std::string& word) {
    if (word.empty()) {
        return std::nullopt;
    }
    return word == "f64"    ? DType::f64
           : word == "f32"  ? DType::f32
           : word == "bf16" ? DType::bf16
                            : DType::f16;
}

runtime::LoadOptions load_options(const ModelOptions& options, const CommonOptions& common) {
    runtime::LoadOptions load{.dtype = dtype_of(options.dtype),
                              .cache_dtype = dtype_of(options.cache_dtype),
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

std::unique_ptr<runtime::HybridModel> open_model(const std::string& checkpoint,
                                                 const ModelOptions& options,
                                                 const ReadingOptions& reading,
                                                 const CommonOptions& common) {
    return in_context([&] { return format("opening {}", in_quotes(checkpoint, 1000)); },
                      [&] {
                          const OpenedCheckpoint files =
                              open_checkpoint(checkpoint, reading, checkpoint::Missing::refuse);
                          return runtime::HybridModel::load(
                              files.checkpoint, files.model, load_options(options, common));
                      });
}

analysis::ModelLoading make_loading(const ModelOptions& options,
                                    const ReadingOptions& reading,
                                    const CommonOptions& common) {
    return {.opening = make_open_options(reading),
            .recognising = make_recognise_options(reading),
            .running = load_options(options, common)};
}

}  // namespace anamnesis::app
