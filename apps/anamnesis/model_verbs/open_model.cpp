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
#include "anamnesis/runtime/network.hpp"

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

template <class Load>
auto opened(const std::string& checkpoint, const ReadingOptions& reading, const Load& load) {
    return in_context(
        [&] { return format("opening {}", in_quotes(checkpoint, 1000)); },
        [&] { return load(open_checkpoint(checkpoint, reading, checkpoint::Missing::refuse)); });
}

}  // namespace

std::unique_ptr<runtime::HybridModel> open_model(const std::string& checkpoint,
                                                 const ModelOptions& options,
                                                 const ReadingOptions& reading,
                                                 const CommonOptions& common) {
    return opened(checkpoint, reading, [&](const OpenedCheckpoint& files) {
        return runtime::HybridModel::load(
            files.checkpoint, files.model, load_options(options, common));
    });
}

runtime::Network open_network(const std::string& checkpoint,
                              const ModelOptions& options,
                              const ReadingOptions& reading,
                              const CommonOptions& common) {
    return opened(checkpoint, reading, [&](const OpenedCheckpoint& files) {
        return runtime::load_network(files.checkpoint, files.model, load_options(options, common));
    });
}

}  // namespace anamnesis::app
