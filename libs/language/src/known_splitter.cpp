// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <memory>
#include <string_view>

#include "anamnesis/language/utf8.hpp"

#include "character_class.hpp"
#include "pre_tokenizer.hpp"

namespace anamnesis::language {
namespace {

using enum CharacterClass;

/// Where the expressions differ.
struct Traits {
    bool marks_join_letters = false;
    std::size_t max_digits = 1;  ///< 0: any number, with a space before
    bool is_gpt2 = false;
};

char32_t fold(char32_t code) {
    // Simple case folding of what can occur in a contraction: U+017F is a long s.
    return code >= 'A' && code <= 'Z' ? code + 32 : code == 0x17F ? U's' : code;
}

class KnownSplitter final : public Splitter {
public:
    explicit KnownSplitter(const Traits& traits) : traits_(traits) {}

    void split(const TextPiece& piece, const TakePiece& take) const override {
        const std::string_view text = piece.text;
        std::size_t begin = 0;
        while (begin < text.size()) {
            const std::size_t end = end_of_piece(text, begin);
            take(text.substr(begin, end - begin));
            begin = end;
        }
    }

private:
    bool is_letter(CharacterClass kind) const {
        return kind == letter || (traits_.marks_join_letters && kind == mark);
    }
    bool is_other(CharacterClass kind) const {
        return kind == other || (!traits_.marks_join_letters && kind == mark);
    }

    template <class Predicate>
    static std::size_t run(std::string_view text,
                           std::size_t begin,
                           std::size_t limit,
                           const Predicate& holds) {
        std::size_t end = begin;
        for (std::size_t count = 0; end < text.size() && count < limit; ++count) {
            std::size_t after = end;
            if (!holds(classify(next_character(text, after)))) {
                break;
            }
            end = after;
        }
        return end;
    }

    /// The end of a contraction at an apostrophe, or 0.
    std::size_t end_of_contraction(std::string_view text, std::size_t begin) const {
        std::size_t position = begin + 1;
        if (position >= text.size()) {
            return 0;
        }
        const char32_t raw = next_character(text, position);
        const char32_t first = traits_.is_gpt2 ? raw : fold(raw);
        if (first == U's' || first == U't' || first == U'm' || first == U'd') {
            return position;
        }
        if (position >= text.size()) {
            return 0;
        }
        const char32_t raw_second = next_character(text, position);
        const char32_t second = traits_.is_gpt2 ? raw_second : fold(raw_second);
        const bool is_whole = (first == U'r' && second == U'e') ||
                              (first == U'v' && second == U'e') ||
                              (first == U'l' && second == U'l');
        return is_whole ? position : 0;
    }

    std::size_t end_of_space(std::string_view text, std::size_t begin) const {
        std::size_t end = begin;
        std::size_t last = begin;           // where the last character of the run begins
        std::size_t after_newline = begin;  // after the last line break of the run
        while (end < text.size()) {
            std::size_t after = end;
            const char32_t code = next_character(text, after);
            if (classify(code) != space) {
                break;
            }
            last = end;
            end = after;
            if (code == U'\r' || code == U'\n') {
                after_newline = end;
            }
        }
        if (!traits_.is_gpt2 && after_newline > begin) {
            return after_newline;
        }
        return end == text.size() || last == begin ? end : last;
    }

    std::size_t end_of_piece(std::string_view text, std::size_t begin) const {
        constexpr std::size_t unlimited = ~std::size_t{0};
        if (text[begin] == '\'') {
            if (const std::size_t end = end_of_contraction(text, begin); end != 0) {
                return end;
            }
        }
        const auto joins_word = [this](CharacterClass kind) { return is_letter(kind); };
        const auto joins_signs = [this](CharacterClass kind) { return is_other(kind); };
        const auto joins_number = [](CharacterClass kind) { return kind == number; };
        std::size_t second = begin;
        const char32_t code = next_character(text, second);
        const CharacterClass kind = classify(code);
        const bool is_plain_space = code == U' ';
        // Letters, after one character that is no letter, number or line break (GPT-2: a space).
        const bool may_lead =
            traits_.is_gpt2 ? is_plain_space
                            : kind != letter && kind != number && code != U'\r' && code != U'\n';
        if (may_lead) {
            const std::size_t end = run(text, second, unlimited, joins_word);
            if (end > second) {
                return end;
            }
        }
        if (is_letter(kind)) {
            return run(text, begin, unlimited, joins_word);
        }
        if (traits_.is_gpt2) {
            const std::size_t digits = is_plain_space ? second : begin;
            const std::size_t end = run(text, digits, unlimited, joins_number);
            if (end > digits) {
                return end;
            }
        } else if (kind == number) {
            return run(text, begin, traits_.max_digits, joins_number);
        }
        const std::size_t signs = is_plain_space ? second : begin;
        std::size_t end = run(text, signs, unlimited, joins_signs);
        if (end > signs) {
            while (!traits_.is_gpt2 && end < text.size() &&
                   (text[end] == '\r' || text[end] == '\n')) {
                ++end;
            }
            return end;
        }
        return end_of_space(text, begin);
    }

    Traits traits_;
};

}  // namespace

std::unique_ptr<Splitter> make_known_splitter(std::string_view pattern) {
    if (pattern == patterns::qwen2) {
        return std::make_unique<KnownSplitter>(Traits{});
    }
    if (pattern == patterns::qwen3_5) {
        return std::make_unique<KnownSplitter>(Traits{.marks_join_letters = true});
    }
    if (pattern == patterns::llama3) {
        return std::make_unique<KnownSplitter>(Traits{.max_digits = 3});
    }
    if (pattern == patterns::gpt2) {
        return std::make_unique<KnownSplitter>(Traits{.is_gpt2 = true});
    }
    return nullptr;
}

}  // namespace anamnesis::language
