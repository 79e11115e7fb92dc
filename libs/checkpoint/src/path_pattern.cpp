// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "path_pattern.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <pcre2.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::size_t max_expression_bytes = 100'000;
constexpr std::uint32_t max_steps = 1'000'000;
constexpr std::uint32_t max_heap_kilobytes = 16 * 1024;

struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string describe_code(int code) {
    std::string message(256, '\0');
    const int length = pcre2_get_error_message(
        code, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
    message.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    return message;
}

[[noreturn]] void refuse(std::string_view expression, const std::string& why) {
    throw Error(ErrorKind::malformed,
                format("the module pattern {} is no regular expression that can be used: {}",
                       in_quotes(expression),
                       why));
}

/// Names and dots alone, as almost every pattern is.
bool is_plain(std::string_view expression) {
    return std::ranges::all_of(expression, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.';
    });
}

/// The same question for such an expression: a dot is any character.
bool ends_path(std::string_view expression, std::string_view path) {
    if (path.size() < expression.size()) {
        return false;
    }
    const std::string_view end = path.substr(path.size() - expression.size());
    return std::ranges::equal(expression, end, [](char a, char b) { return a == '.' || a == b; }) &&
           (end.size() == path.size() || path[path.size() - end.size() - 1] == '.');
}

}  // namespace

bool matches_path(std::string_view expression, const std::string& path) {
    if (is_plain(expression)) {
        return ends_path(expression, path);
    }
    if (expression.size() > max_expression_bytes) {
        refuse(expression, format("it has {} bytes", expression.size()));
    }
    const std::string whole = format("(.*\\.)?({})$", expression);
    int code = 0;
    PCRE2_SIZE offset = 0;
    const std::unique_ptr<pcre2_code, FreeCode> compiled(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(whole.data()),
                      whole.size(),
                      PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C,
                      &code,
                      &offset,
                      nullptr));
    if (!compiled) {
        refuse(expression, describe_code(code));
    }
    const std::unique_ptr<pcre2_match_data, FreeMatch> match(
        pcre2_match_data_create_from_pattern(compiled.get(), nullptr));
    const std::unique_ptr<pcre2_match_context, FreeContext> context(
        pcre2_match_context_create(nullptr));
    if (!match || !context) {
        throw Error(ErrorKind::exhausted, "no memory is left to match a module pattern");
    }
    pcre2_set_match_limit(context.get(), max_steps);
    pcre2_set_heap_limit(context.get(), max_heap_kilobytes);
    const int found = pcre2_match(compiled.get(),
                                  reinterpret_cast<PCRE2_SPTR>(path.data()),
                                  path.size(),
                                  0,
                                  0,
                                  match.get(),
                                  context.get());
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        refuse(expression, describe_code(found));
    }
    return found >= 0;
}

}  // namespace anamnesis::checkpoint
