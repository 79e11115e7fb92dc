// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "code_points.hpp"
#include "operators.hpp"
#include "python_text.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

constexpr int most_digits = 1000;

[[noreturn]] void refuse(const std::string& what) {
    throw Error(ErrorKind::usage, format("formatting a text: {}", what));
}

/// What lies between '%' and the letter.
struct Specification {
    bool is_left = false;
    bool has_plus = false;
    bool has_space = false;
    bool has_zeros = false;
    bool is_alternate = false;
    int width = 0;
    std::optional<int> precision{};
};

class PercentFormatter {
public:
    PercentFormatter(std::string_view pattern, const Value& value) : pattern_(pattern) {
        const Sequence* sequence = value.sequence();
        if (sequence != nullptr && sequence->kind == Sequence::Kind::tuple) {
            values_ = sequence->items;
        } else {
            values_.push_back(value);
            dict_ = value.dict();
            may_be_unused_ = dict_ != nullptr ||
                             (sequence != nullptr && sequence->kind != Sequence::Kind::generator &&
                              sequence->kind != Sequence::Kind::view) ||
                             value.is_undefined();
        }
    }

    std::string run() {
        while (at_ < pattern_.size()) {
            const char c = pattern_[at_++];
            if (c != '%') {
                result_.push_back(c);
            } else {
                convert();
            }
            check_bytes(result_.size());
        }
        if (next_ < values_.size() && !may_be_unused_) {
            refuse("not all arguments are used");
        }
        return std::move(result_);
    }

private:
    char peek() const { return at_ < pattern_.size() ? pattern_[at_] : '\0'; }

    const Value& take() {
        if (next_ >= values_.size()) {
            refuse("there are too few arguments");
        }
        return values_[next_++];
    }

    int read_number() {
        if (peek() == '*') {
            ++at_;
            return static_cast<int>(
                std::clamp<std::int64_t>(take().integer().value_or(0), -most_digits, most_digits));
        }
        int number = 0;
        while (peek() >= '0' && peek() <= '9') {
            number = std::min(number * 10 + (pattern_[at_++] - '0'), most_digits);
        }
        return number;
    }

    Specification read_specification() {
        Specification found;
        for (;; ++at_) {
            const char c = peek();
            if (c == '-') {
                found.is_left = true;
            } else if (c == '+') {
                found.has_plus = true;
            } else if (c == ' ') {
                found.has_space = true;
            } else if (c == '0') {
                found.has_zeros = true;
            } else if (c == '#') {
                found.is_alternate = true;
            } else {
                break;
            }
        }
        found.width = read_number();
        if (peek() == '.') {
            ++at_;
            found.precision = read_number();
        }
        while (peek() == 'l' || peek() == 'h' || peek() == 'L') {
            ++at_;
        }
        return found;
    }

    void convert() {
        std::optional<std::string> key;
        if (peek() == '(') {
            const std::size_t end = pattern_.find(')', at_);
            if (end == std::string_view::npos) {
                refuse("a '(' does not end");
            }
            key = pattern_.substr(at_ + 1, end - at_ - 1);
            at_ = end + 1;
        }
        const Specification specification = read_specification();
        const char letter = peek();
        ++at_;
        if (letter == '%') {
            result_.push_back('%');
            return;
        }
        const Value* value = nullptr;
        if (key) {
            value = dict_ == nullptr ? nullptr : dict_->find(std::string_view(*key));
            if (value == nullptr) {
                refuse(format("there is no argument {}", in_quotes(*key)));
            }
        } else {
            value = &take();
        }
        pad(specification, write(specification, letter, *value), letter != 's' && letter != 'r');
    }

    std::string write(const Specification& specification, char letter, const Value& value) const {
        switch (letter) {
            case 's':
            case 'r':
                return cut(letter == 's' ? to_text(value) : represent(value), specification);
            case 'd':
            case 'i':
            case 'u':
                return with_sign(specification, read_whole(value, letter));
            case 'f':
            case 'F':
            case 'e':
            case 'E':
            case 'g':
            case 'G':
                return write_real(specification, letter, value);
            default:
                throw Error(ErrorKind::unsupported,
                            format("the conversion '%{}' is not supported", letter));
        }
    }

    static std::string cut(std::string text, const Specification& specification) {
        if (specification.precision && *specification.precision < count_characters(text)) {
            text.resize(find_characters(text)[static_cast<std::size_t>(*specification.precision)]);
        }
        return text;
    }

    static std::string read_whole(const Value& value, char letter) {
        if (const std::optional<std::int64_t> whole = value.integer()) {
            return std::to_string(*whole);
        }
        const std::optional<double> number = value.real();
        if (!number || !(std::fabs(*number) < 9e18)) {
            refuse(format("'%{}' needs a number, not {}", letter, value.type_name()));
        }
        return std::to_string(static_cast<std::int64_t>(*number));
    }

    static std::string with_sign(const Specification& specification, std::string number) {
        if (number.front() == '-') {
            return number;
        }
        return (specification.has_plus ? "+" : specification.has_space ? " " : "") + number;
    }

    static std::string write_real(const Specification& specification,
                                  char letter,
                                  const Value& value) {
        const std::optional<double> number = value.real();
        if (!number) {
            refuse(format("'%{}' needs a number, not {}", letter, value.type_name()));
        }
        const std::string pattern =
            format("%{}.*{}", specification.is_alternate ? "#" : "", letter);
        const int precision = specification.precision.value_or(6);
        std::vector<char> buffer(static_cast<std::size_t>(precision) + 400);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        const int length =
            std::snprintf(buffer.data(), buffer.size(), pattern.c_str(), precision, *number);
#pragma GCC diagnostic pop
        return with_sign(specification,
                         std::string(buffer.data(), static_cast<std::size_t>(length)));
    }

    void pad(const Specification& specification, const std::string& text, bool is_number) {
        const int missing =
            std::abs(specification.width) - static_cast<int>(count_characters(text));
        const auto fill = static_cast<std::size_t>(std::max(missing, 0));
        if (specification.is_left || specification.width < 0) {
            result_ += text + std::string(fill, ' ');
        } else if (specification.has_zeros && is_number) {
            const std::size_t sign = text.find_first_of("+- ") == 0 ? 1 : 0;
            result_ += text.substr(0, sign) + std::string(fill, '0') + text.substr(sign);
        } else {
            result_ += std::string(fill, ' ') + text;
        }
    }

    std::string_view pattern_;
    std::vector<Value> values_{};
    const Dict* dict_ = nullptr;
    bool may_be_unused_ = false;  // as Python has it for all that takes an index
    std::size_t at_ = 0;
    std::size_t next_ = 0;
    std::string result_{};
};

const Value& find_field(std::string_view field, const Arguments& arguments, std::size_t& next) {
    std::size_t index = next;
    if (field.empty()) {
        ++next;
    } else if (std::from_chars(field.data(), field.data() + field.size(), index).ec !=
               std::errc()) {
        const auto found = std::ranges::find(arguments.named, field, [](const auto& named) {
            return std::string_view(named.first);
        });
        if (found != arguments.named.end()) {
            return found->second;
        }
        refuse(format("there is no argument {}", in_quotes(field)));
    }
    if (index >= arguments.positional.size()) {
        refuse("there are too few arguments");
    }
    return arguments.positional[index];
}

}  // namespace

std::string format_by_percent(std::string_view pattern, const Value& value) {
    return PercentFormatter(pattern, value).run();
}

std::string format_by_braces(std::string_view pattern, const Arguments& arguments) {
    std::string result;
    std::size_t next = 0;
    for (std::size_t at = 0; at < pattern.size(); ++at) {
        const char c = pattern[at];
        const bool is_doubled = at + 1 < pattern.size() && pattern[at + 1] == c;
        if ((c == '{' || c == '}') && is_doubled) {
            result.push_back(c);
            ++at;
        } else if (c == '{') {
            const std::size_t end = pattern.find('}', at);
            if (end == std::string_view::npos) {
                refuse("a '{' does not end");
            }
            const std::string_view field = pattern.substr(at + 1, end - at - 1);
            if (field.find_first_of(":!.[{") != std::string_view::npos) {
                throw Error(ErrorKind::unsupported,
                            format("the field {} of a format is not supported", in_quotes(field)));
            }
            result += to_text(find_field(field, arguments, next));
            at = end;
        } else if (c == '}') {
            refuse("a '}' ends nothing");
        } else {
            result.push_back(c);
        }
        check_bytes(result.size());
    }
    return result;
}

}  // namespace anamnesis::language::jinja
