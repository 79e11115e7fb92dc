// SPDX-License-Identifier: Apache-2.0
#include "text_joiner.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/language/utf8.hpp"

#include "rewrites.hpp"

namespace anamnesis::language {

void TextJoiner::add(std::string_view bytes, TokenPart part) {
    const bool is_first = std::exchange(is_first_, false);
    if (part == TokenPart::byte && rules_->has_byte_runs) {
        run_ += bytes;
        return;
    }
    end_run();
    if (is_first && part != TokenPart::fixed && !rules_->dropped_in_first.empty()) {
        append(replace_all(bytes, rules_->dropped_in_first, ""));
        return;
    }
    append(part == TokenPart::fixed ? bytes : strip_token(bytes));
}

std::string_view TextJoiner::strip_token(std::string_view bytes) {
    if (rules_->strips_tokens == TokenStripping::never || !may_strip_token_ || !is_at_start_) {
        return bytes;
    }
    if (bytes.starts_with(rules_->stripped)) {
        bytes.remove_prefix(rules_->stripped.size());
        may_strip_token_ = rules_->strips_tokens == TokenStripping::until_text;
    }
    return bytes;
}

void TextJoiner::end_run() {
    if (run_.empty()) {
        return;
    }
    if (is_utf8(run_)) {
        append(run_);
    } else if (rules_->keeps_characters_of_runs) {
        for (std::size_t at = 0; at < run_.size();) {
            const Utf8Step step = read_utf8(run_, at);
            append(step.is_valid ? std::string_view(run_).substr(at, step.length)
                                 : replacement_text);
            at += step.is_valid ? step.length : 1;
        }
    } else {
        for (std::size_t i = 0; i < run_.size(); ++i) {
            append(replacement_text);
        }
    }
    run_.clear();
}

void TextJoiner::append(std::string_view bytes) {
    bytes_ += bytes;
    while (is_at_start_ && stripped_ < rules_->most_stripped &&
           bytes_.starts_with(rules_->stripped)) {
        bytes_.erase(0, rules_->stripped.size());
        ++stripped_;
    }
    // Tokens of one beginning may still follow a token that was all stripped.
    is_at_start_ = is_at_start_ && bytes_.empty();
    std::size_t position = 0;
    while (position < bytes_.size()) {
        const Utf8Step step = read_utf8(bytes_, position);
        if (step.is_incomplete) {
            break;
        }
        text_ += step.is_valid ? std::string_view(bytes_).substr(position, step.length)
                               : replacement_text;
        position += step.length;
    }
    bytes_.erase(0, position);
}

std::string TextJoiner::take_certain() {
    if (!bytes_.empty() || !run_.empty() || text_.ends_with(replacement_text)) {
        return {};
    }
    return std::exchange(text_, {});
}

std::string TextJoiner::finish() {
    end_run();
    if (!bytes_.empty()) {
        text_ += replacement_text;
        bytes_.clear();
    }
    return std::exchange(text_, {});
}

}  // namespace anamnesis::language
