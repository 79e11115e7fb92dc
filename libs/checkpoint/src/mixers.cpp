// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers.hpp"

#include <utility>
#include <variant>

namespace anamnesis::checkpoint {

const AttentionSpec* find_attention(const MixerSpec& mixer) {
    if (const auto* parallel = std::get_if<ParallelSpec>(&mixer)) {
        return &parallel->attention;
    }
    if (const auto* block = std::get_if<SharedBlockSpec>(&mixer)) {
        return &block->attention;
    }
    return std::get_if<AttentionSpec>(&mixer);
}

AttentionSpec* find_attention(MixerSpec& mixer) {
    return const_cast<AttentionSpec*>(find_attention(std::as_const(mixer)));
}

bool is_softmax(const MixerSpec& mixer) {
    return find_attention(mixer) != nullptr || std::holds_alternative<LatentAttentionSpec>(mixer);
}

}  // namespace anamnesis::checkpoint
