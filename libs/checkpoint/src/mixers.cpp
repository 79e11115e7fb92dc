// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers.hpp"

#include <variant>

namespace anamnesis::checkpoint {

const AttentionSpec* find_attention(const MixerSpec& mixer) {
    return std::get_if<AttentionSpec>(&mixer);
}

AttentionSpec* find_attention(MixerSpec& mixer) {
    return std::get_if<AttentionSpec>(&mixer);
}

bool is_softmax(const MixerSpec& mixer) {
    return find_attention(mixer) != nullptr || std::holds_alternative<LatentAttentionSpec>(mixer);
}

}  // namespace anamnesis::checkpoint
