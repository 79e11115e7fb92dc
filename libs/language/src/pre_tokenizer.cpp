// SPDX-License-Identifier: Apache-2.0
#include "pre_tokenizer.hpp"

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "split_stage.hpp"

namespace anamnesis::language {
namespace {

std::unique_ptr<Splitter> make_splitter(const SplitStage& stage) {
    switch (stage.kind) {
        case SplitStage::Kind::metaspace:
            return make_metaspace_splitter(stage);
        case SplitStage::Kind::prefix_space:
            return make_prefixing_splitter();
        case SplitStage::Kind::pattern:
        case SplitStage::Kind::spell_bytes:
            break;
    }
    return make_pattern_splitter(stage);
}

}  // namespace

void PreTokenizer::add(const SplitStage& stage) {
    if (stage.kind == SplitStage::Kind::spell_bytes) {
        is_spelled_ = true;
        return;
    }
    // Known expressions match all of a text: nothing lies between their matches.
    const bool is_plain = stage.kind == SplitStage::Kind::pattern && !is_spelled_ &&
                          stage.behaviour == SplitBehaviour::isolated;
    std::unique_ptr<Splitter> splitter = is_plain ? make_known_splitter(stage.pattern) : nullptr;
    is_known_ = is_known_ && splitter != nullptr;
    if (splitter == nullptr) {
        splitter = make_splitter(stage);
    }
    if (is_spelled_) {
        splitter = make_spelled_splitter(std::move(splitter));
    }
    stages_.push_back(std::move(splitter));
}

void PreTokenizer::split_from(std::size_t stage,
                              const TextPiece& piece,
                              const TakePiece& take) const {
    if (piece.text.empty()) {
        return;
    }
    if (stage == stages_.size()) {
        take(piece.text);
    } else if (stage + 1 == stages_.size()) {
        stages_[stage]->split(piece, take);
    } else {
        stages_[stage]->split(piece, [&](std::string_view part) {
            const bool begins = piece.begins_text && part.data() == piece.text.data();
            split_from(stage + 1, {.text = part, .begins_text = begins}, take);
        });
    }
}

}  // namespace anamnesis::language
