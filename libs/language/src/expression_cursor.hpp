// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "split_stage.hpp"

namespace anamnesis::language {

/// A place in an expression that is being translated, and the rules that hold there.
class ExpressionCursor {
public:
    ExpressionCursor(std::string_view pattern, Dialect dialect)
        : pattern_(pattern), dialect_(dialect) {}

    bool has_more() const { return at_ < pattern_.size(); }
    bool is_oniguruma() const { return dialect_ == Dialect::oniguruma; }
    std::string_view rest() const { return pattern_.substr(at_); }
    bool sees(std::string_view text) const { return rest().starts_with(text); }
    void skip(std::size_t bytes) { at_ += bytes; }

    /// Goes past the text if it is next.
    bool take(std::string_view text) {
        const bool is_next = sees(text);
        at_ += is_next ? text.size() : 0;
        return is_next;
    }

    /// The next character.   Errors: `unsupported` at the end.
    char32_t take_character() {
        if (!has_more()) {
            refuse("an end in the middle");
        }
        return next_character(pattern_, at_);
    }

    /// Up to the first of `end`, which is passed.   Errors: `unsupported` where it is missing.
    std::string_view take_until(char end) {
        const std::size_t length = rest().find(end);
        if (length == std::string_view::npos) {
            refuse("something that does not end");
        }
        const std::string_view found = rest().substr(0, length);
        at_ += length + 1;
        return found;
    }

    [[noreturn]] void refuse(std::string_view what) const {
        throw Error(ErrorKind::unsupported,
                    format("the split expression {} has {}, which is not supported",
                           in_quotes(pattern_),
                           what));
    }

    bool ignores_case = false;

private:
    std::string_view pattern_;
    std::size_t at_ = 0;
    Dialect dialect_;
};

}  // namespace anamnesis::language
