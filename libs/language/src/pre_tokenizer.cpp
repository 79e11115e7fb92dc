// SPDX-License-Identifier: Apache-2.0
#include "pre_tokenizer.hpp"

#include <cstddef>
#include <memory>
#include <string_view>

namespace anamnesis::language {

void PreTokenizer::add(std::string_view pattern) {
    std::unique_ptr<Splitter> known = make_known_splitter(pattern);
    is_known_ = is_known_ && known != nullptr;
    stages_.push_back(known ? std::move(known) : make_pattern_splitter(pattern));
}

void PreTokenizer::split_from(std::size_t stage,
                              std::string_view text,
                              const TakePiece& take) const {
    if (text.empty()) {
        return;
    }
    if (stage == stages_.size()) {
        take(text);
    } else if (stage + 1 == stages_.size()) {
        stages_[stage]->split(text, take);
    } else {
        stages_[stage]->split(text,
                              [&](std::string_view piece) { split_from(stage + 1, piece, take); });
    }
}

}  // namespace anamnesis::language
