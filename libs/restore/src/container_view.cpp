// SPDX-License-Identifier: Apache-2.0
#include "container_view.hpp"

#include <algorithm>
#include <memory>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

std::shared_ptr<const checkpoint::RecognisedCheckpoint> match_container(
    const checkpoint::RecognisedCheckpoint& pre,
    const checkpoint::RecognisedCheckpoint& post,
    checkpoint::GgufVia via) {
    const bool is_pre_gguf = pre.checkpoint.gguf() != nullptr;
    const bool is_post_gguf = post.checkpoint.gguf() != nullptr;
    if (is_pre_gguf == is_post_gguf) {
        return nullptr;
    }
    if (is_pre_gguf) {
        throw Error(ErrorKind::unsupported,
                    format("pre {} is a GGUF file and post {} is not: rows of a GGUF file are not "
                           "taken back into safetensors; give pre as safetensors, or post as GGUF",
                           in_quotes(pre.checkpoint.path().string(), 1000),
                           in_quotes(post.checkpoint.path().string(), 1000)));
    }
    return std::make_shared<const checkpoint::RecognisedCheckpoint>(
        checkpoint::view_as_gguf(pre, post, via));
}

bool is_view(const checkpoint::RecognisedCheckpoint& source) {
    // Tensors in memory have no file either, and are what their checkpoint holds.
    return source.checkpoint.gguf() != nullptr &&
           std::ranges::any_of(source.checkpoint.tensors(),
                               [](const auto& tensor) { return tensor.computed != nullptr; });
}

}  // namespace anamnesis::restore
