// SPDX-License-Identifier: Apache-2.0
#include "expression_translation.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "expression_property.hpp"

namespace anamnesis::language {
namespace {

// PCRE2's `\s` holds U+180E, which is no White_Space any more.
constexpr std::string_view white_space =
    R"(\t-\r\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

class Translator {
public:
    explicit Translator(std::string_view pattern) : pattern_(pattern) {}

    std::string run() {
        std::string result;
        while (at_ < pattern_.size()) {
            const char c = pattern_[at_];
            if (c == '\\' && at_ + 1 < pattern_.size()) {
                const char escaped = pattern_[at_ + 1];
                at_ += 2;
                result += is_property(escaped) ? read_property(escaped)
                          : escaped == 's'     ? format("[{}]", white_space)
                          : escaped == 'S'     ? format("[^{}]", white_space)
                                               : std::string{'\\', escaped};
            } else if (c == '[') {
                result += read_class();
            } else {
                result += c;
                ++at_;
            }
        }
        return result;
    }

private:
    [[noreturn]] void refuse() const {
        throw Error(
            ErrorKind::unsupported,
            format("the split expression {} has a class within a class, which is not supported",
                   in_quotes(pattern_)));
    }

    /// A bracket expression from its '[' on, as an expression of one character.
    std::string read_class() {
        ++at_;
        const bool is_negated = at_ < pattern_.size() && pattern_[at_] == '^';
        at_ += is_negated ? 1 : 0;
        std::vector<std::string> sides;
        std::string members;
        std::string nested;
        bool is_first = true;
        const auto end_side = [&] {
            if (!nested.empty() && !members.empty()) {
                refuse();
            }
            sides.push_back(nested.empty() ? "[" + members + "]" : nested);
            members.clear();
            nested.clear();
        };
        while (at_ < pattern_.size() && (pattern_[at_] != ']' || is_first)) {
            is_first = false;
            const std::string_view rest = pattern_.substr(at_);
            if (rest.starts_with("&&")) {
                at_ += 2;
                end_side();
            } else if (rest.starts_with("[:")) {
                const std::size_t end = rest.find(":]");
                members += rest.substr(0, end == std::string_view::npos ? 1 : end + 2);
                at_ += end == std::string_view::npos ? 1 : end + 2;
            } else if (rest.front() == '[') {
                if (!nested.empty() || ++depth_ > 20) {
                    refuse();
                }
                nested = read_class();
                --depth_;
            } else {
                read_member(members);
            }
        }
        ++at_;
        end_side();
        return join_sides(sides, is_negated);
    }

    void read_member(std::string& members) {
        const char c = pattern_[at_++];
        if (c != '\\' || at_ >= pattern_.size()) {
            members += c;
            return;
        }
        const char escaped = pattern_[at_++];
        members += is_property(escaped) ? read_member_property(escaped)
                   : escaped == 's'     ? std::string(white_space)
                                        : std::string{'\\', escaped};
    }

    static bool is_property(char escaped) { return escaped == 'p' || escaped == 'P'; }

    struct Property {
        std::string members;
        bool is_negated = false;
    };

    /// What follows `\p` or `\P`.
    Property take_property(char escaped) {
        std::string_view name = pattern_.substr(at_, 1);
        std::size_t length = 1;
        if (name == "{") {
            const std::size_t end = pattern_.find('}', at_);
            name = pattern_.substr(at_ + 1, end == std::string_view::npos ? 0 : end - at_ - 1);
            length = name.size() + 2;
        }
        at_ += length;
        const bool has_caret = name.starts_with('^');
        name.remove_prefix(has_caret ? 1 : 0);
        return {.members = translate_property(name), .is_negated = has_caret != (escaped == 'P')};
    }

    std::string read_property(char escaped) {
        const Property property = take_property(escaped);
        return format("[{}{}]", property.is_negated ? "^" : "", property.members);
    }

    std::string read_member_property(char escaped) {
        const Property property = take_property(escaped);
        const bool is_single = property.members.starts_with(R"(\p{)") &&
                               property.members.find('}') + 1 == property.members.size();
        if (!property.is_negated) {
            return property.members;
        }
        if (!is_single) {
            throw Error(ErrorKind::unsupported,
                        format("the split expression {} has the opposite of a compound property in "
                               "a class, which is not supported",
                               in_quotes(pattern_)));
        }
        return R"(\P)" + property.members.substr(2);
    }

    static std::string join_sides(const std::vector<std::string>& sides, bool is_negated) {
        if (sides.size() == 1) {
            const std::string& only = sides.front();
            const bool is_plain = only.starts_with('[') && !only.starts_with("[^");
            if (!is_negated) {
                return only;
            }
            return is_plain ? "[^" + only.substr(1) : format("(?:(?!{})(?s:.))", only);
        }
        std::string all;
        for (std::size_t i = 0; i + 1 < sides.size(); ++i) {
            all += format("(?={})", sides[i]);
        }
        all = format("(?:{}{})", all, sides.back());
        return is_negated ? format("(?:(?!{})(?s:.))", all) : all;
    }

    std::string_view pattern_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

}  // namespace

std::string translate_expression(std::string_view pattern) {
    return Translator(pattern).run();
}

}  // namespace anamnesis::language
