// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace anamnesis::app {

/// How a model is made to run.
struct ModelOptions {
    std::vector<std::string> adapters{};  ///< ADAPTER, or NAME=ADAPTER where models have names
    std::string tokenizer{};
    std::string dtype{};        ///< a word of `float_words`; empty: as stored
    std::string cache_dtype{};  ///< likewise, but f64
    std::string device = "cpu";
    std::uint32_t chunk = 0;  ///< tokens of a prompt read at once; 0: the library's default
    std::string attn_logits_scaling{};
    std::uint64_t context_length = 0;  ///< 0: the config's
};

/// For verbs that run what they are given.
void declare_adapter(CLI::App& app, ModelOptions& options);

/// All but --adapter, and --chunk, whose default differs from verb to verb.
void declare_model(CLI::App& app, ModelOptions& options);

}  // namespace anamnesis::app
