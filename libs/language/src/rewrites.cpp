// SPDX-License-Identifier: Apache-2.0
#include "rewrites.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/utf8.hpp"

#include "character_class.hpp"
#include "normalisation.hpp"
#include "pre_tokenizer.hpp"
#include "sentence_piece_normaliser.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {

std::string replace_all(std::string_view text, const std::string& from, const std::string& to) {
    std::string result;
    std::size_t done = 0;
    for (std::size_t at = text.find(from); at != std::string_view::npos;
         at = text.find(from, done)) {
        result += text.substr(done, at - done);
        result += to;
        done = at + from.size();
    }
    result += text.substr(done);
    return result;
}

namespace {

/// The text with every match of an expression put as `to`.
std::string replace_matches(std::string_view text,
                            const Expression& expression,
                            const std::string& to) {
    std::string result;
    expression.match(text, [&](std::string_view part, bool is_match) {
        result += is_match ? std::string_view(to) : part;
    });
    return result;
}

std::string strip(std::string_view text, const Rewrite& step) {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool is_inside = false;
    for (std::size_t position = 0; position < text.size();) {
        const std::size_t here = position;
        if (!is_white_space(next_character(text, position))) {
            begin = is_inside ? begin : here;
            is_inside = true;
            end = position;
        }
    }
    begin = is_inside ? begin : text.size();
    end = is_inside ? end : text.size();
    begin = step.strips_left ? begin : 0;
    end = step.strips_right ? std::max(begin, is_inside ? end : begin) : text.size();
    return std::string(text.substr(begin, end - begin));
}

std::string rewrite(const Rewrite& step, std::string_view text, bool begins_text) {
    switch (step.kind) {
        case Rewrite::Kind::nfc: {
            std::string composed;
            composed.reserve(text.size());
            append_nfc(composed, text);
            return composed;
        }
        case Rewrite::Kind::nfd:
            return normalise(text, NormalForm::nfd);
        case Rewrite::Kind::nfkc:
            return normalise(text, NormalForm::nfkc);
        case Rewrite::Kind::nfkd:
            return normalise(text, NormalForm::nfkd);
        case Rewrite::Kind::prepend:
            return text.empty() ? std::string() : step.to + std::string(text);
        case Rewrite::Kind::replace:
            return replace_all(text, step.from, step.to);
        case Rewrite::Kind::match:
            return replace_matches(text, *step.expression, step.to);
        case Rewrite::Kind::lowercase:
            return to_small_letters(text);
        case Rewrite::Kind::strip:
            return strip(text, step);
        case Rewrite::Kind::sentence_piece:
            return step.sentence_piece->normalise(text, step.begins_each_stretch || begins_text);
    }
    return std::string(text);
}

}  // namespace

std::string apply_rewrites(std::string_view text,
                           const std::vector<Rewrite>& steps,
                           bool begins_text) {
    std::string result(text);
    for (const Rewrite& step : steps) {
        result = rewrite(step, result, begins_text);
    }
    return result;
}

}  // namespace anamnesis::language
