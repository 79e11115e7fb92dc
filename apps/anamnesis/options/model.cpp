// SPDX-License-Identifier: Apache-2.0
#include "options/model.hpp"

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/words.hpp"

#include "option_group.hpp"

namespace anamnesis::app {

void declare_adapter(CLI::App& app, ModelOptions& options) {
    OptionGroup(app, "Running the model")
        .option("--adapter",
                options.adapters,
                "A LoRA adapter that the model is run with, as it is; of one of several models "
                "NAME=ADAPTER.");
}

void declare_model(CLI::App& app, ModelOptions& options) {
    OptionGroup group(app, "Running the model");
    group.option("--tokenizer",
                 options.tokenizer,
                 "The folder of the tokenizer, where it is not the checkpoint's.");
    const std::vector<std::string> words = list_words(float_words);
    group
        .option("--dtype",
                options.dtype,
                "The type of weight matrices: f64, f32, bf16 or f16; as stored where it is not "
                "given. f64 computes everything in float64.")
        ->check(CLI::IsMember(words));
    group
        .option("--cache-dtype",
                options.cache_dtype,
                "The type of keys and values in the cache: f32, bf16 or f16.")
        ->check(CLI::IsMember(std::vector<std::string>(words.begin() + 1, words.end())));
    group.option("--device", options.device, "Where the model runs: cpu, cuda or cuda:N.");
    group.option(
        "--attn-logits-scaling",
        options.attn_logits_scaling,
        "HypeNet's scaling of attention logits in place of the config's: none, a number or "
        "'hype A'.");
    group
        .option("--context-length",
                options.context_length,
                "The longest text in tokens, in place of max_position_embeddings.")
        ->check(CLI::Range(1U, 1U << 30U))
        ->default_str("");
}

}  // namespace anamnesis::app
