// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/text_stream.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"

namespace anamnesis::language {

TextStream::TextStream(const Tokenizer& tokenizer,
                       std::vector<std::string> stop,
                       std::span<const TokenId> before)
    : decoder_(tokenizer), stop_(std::move(stop)) {
    if (std::ranges::any_of(stop_, [](const std::string& it) { return it.empty(); })) {
        throw Error(ErrorKind::usage, "a stop string is empty");
    }
    for (const TokenId token : before) {
        static_cast<void>(decoder_.push(token));
    }
    static_cast<void>(decoder_.finish());
}

std::string TextStream::take(const std::string& piece) {
    decoded_ += piece.size();
    held_ += piece;
    std::size_t first = std::string::npos;
    for (const std::string& stop : stop_) {
        if (const std::size_t found = held_.find(stop); found < first) {
            first = found;
            found_stop_ = stop;
        }
    }
    if (first != std::string::npos) {
        is_stopped_ = true;
        std::string certain = held_.substr(0, first);
        held_.clear();
        text_ += certain;
        return certain;
    }
    std::size_t kept = 0;
    for (const std::string& stop : stop_) {
        for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > kept;
             --length) {
            if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, length))) {
                kept = length;
                break;
            }
        }
    }
    std::string certain = held_.substr(0, held_.size() - kept);
    held_.erase(0, certain.size());
    text_ += certain;
    return certain;
}

std::string TextStream::push(TokenId token) {
    ANAMNESIS_CHECK(!is_stopped_, "the text goes on");
    begins_.push_back(decoded_);
    return take(decoder_.push(token));
}

std::string TextStream::finish() {
    if (is_stopped_) {
        return {};
    }
    std::string certain = take(decoder_.finish());
    if (!is_stopped_) {
        certain += held_;
        text_ += std::exchange(held_, {});
    }
    return certain;
}

std::size_t TextStream::certain_tokens() const {
    if (stop_.empty()) {
        return begins_.size();
    }
    const auto begun =
        static_cast<std::size_t>(std::ranges::lower_bound(begins_, text_.size()) - begins_.begin());
    // The last of those that have begun may end in what is held back.
    const std::size_t end = begun < begins_.size() ? begins_[begun] : decoded_;
    return begun > 0 && end > text_.size() ? begun - 1 : begun;
}

std::size_t TextStream::tokens_in_text() const {
    if (!is_stopped_) {
        return begins_.size();
    }
    std::size_t count = begins_.size();
    while (count > 0 && begins_[count - 1] >= text_.size()) {
        --count;
    }
    return count;
}

}  // namespace anamnesis::language
