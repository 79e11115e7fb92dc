// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "split_stage.hpp"

namespace anamnesis::language {

/// What `tokenizer.ggml.pre` of a GGUF file stands for.
struct GgufPreTokenizer {
    std::vector<SplitStage> stages{};  ///< before the bytes are spelled
    bool ignores_merges = false;       ///< a piece that is a token is that token
    bool adds_bos = false;             ///< where the file does not say
};

/// Cuts texts as the tokenizer that the name stands for does; where llama.cpp's expression is a
/// simpler one, that of the model's tokenizer.json.
/// Errors: `unsupported`, naming the pre-tokenizer.
/// Source: llama.cpp, `llama_vocab`.
GgufPreTokenizer find_gguf_pre_tokenizer(const std::string& name);

}  // namespace anamnesis::language
