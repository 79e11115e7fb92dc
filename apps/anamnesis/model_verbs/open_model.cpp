// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/open_model.hpp"

#include <memory>
#include <optional>
#include <string>

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
    return word == "f32" ? DType::f32 : word == "bf16" ? DType::bf16 : DType::f16;
}

}  // namespace

std::unique_ptr<runtime::HybridModel> open_model(const std::string& checkpoint,
                                                 const ModelOptions& options,
                                                 const ReadingOptions& reading,
                                                 const CommonOptions& common) {
    return in_context([&] { return format("opening {}", in_quotes(checkpoint, 1000)); },
                      [&] {
                          const OpenedCheckpoint opened =
                              open_checkpoint(checkpoint, reading, checkpoint::Missing::refuse);
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
                          return runtime::HybridModel::load(opened.checkpoint, opened.model, load);
                      });
}

}  // namespace anamnesis::app
