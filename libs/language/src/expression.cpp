// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <pcre2.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "expression_translation.hpp"
#include "pre_tokenizer.hpp"
#include "split_stage.hpp"

namespace anamnesis::language {
namespace {

constexpr std::uint32_t max_steps = 20'000'000;  // of one match
constexpr std::size_t max_pattern_bytes = 10'000;

struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeCompileContext {
    void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};
struct FreeStack {
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};

}  // namespace

struct Expression::Code {
    Code(std::string_view pattern, Dialect dialect) {
        if (pattern.size() > max_pattern_bytes) {
            throw Error(ErrorKind::unsupported,
                        format("a split expression has {} bytes, at most {} are taken",
                               pattern.size(),
                               max_pattern_bytes));
        }
        const std::string plain = translate_expression(pattern, dialect);
        // How PCRE2 was built decides neither what `.` leaves out nor what `\R` takes.
        const std::unique_ptr<pcre2_compile_context, FreeCompileContext> rules(
            pcre2_compile_context_create(nullptr));
        if (!rules) {
            throw Error(ErrorKind::exhausted, "no memory is left to split text");
        }
        pcre2_set_newline(rules.get(), PCRE2_NEWLINE_LF);
        pcre2_set_bsr(rules.get(), PCRE2_BSR_UNICODE);
        int code = 0;
        PCRE2_SIZE offset = 0;
        code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(plain.data()),
                                  plain.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                                  &code,
                                  &offset,
                                  rules.get()));
        if (!code_) {
            std::string message(256, '\0');
            const int length = pcre2_get_error_message(
                code, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
            message.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
            throw Error(
                ErrorKind::unsupported,
                format(
                    "the split expression {} is not understood: {}", in_quotes(pattern), message));
        }
        context_.reset(pcre2_match_context_create(nullptr));
        if (!context_) {
            throw Error(ErrorKind::exhausted, "no memory is left to split text");
        }
        pcre2_set_match_limit(context_.get(), max_steps);
        // Without a compiler for this processor the interpreter does the same.
        static_cast<void>(pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE));
    }

    /// A match may be empty, but not where the last one ended.
    /// Source: the crate onig 6.5, `FindMatches`; tokenizers 0.23, tokenizer/pattern.rs.
    void match(std::string_view text, const TakeMatch& take) const {
        const std::unique_ptr<pcre2_match_data, FreeMatch> match(
            pcre2_match_data_create_from_pattern(code_.get(), nullptr));
        if (!match) {
            throw Error(ErrorKind::exhausted, "no memory is left to split text");
        }
        std::size_t done = 0;
        std::size_t from = 0;
        std::optional<std::size_t> last_end;
        while (!text.empty() && from <= text.size()) {
            const int count = find_next(text, from, *match);
            if (count == PCRE2_ERROR_NOMATCH) {
                break;
            }
            if (count < 0) {
                throw Error(ErrorKind::exhausted,
                            format("the split expression gave up after byte {} of {} (code {})",
                                   done,
                                   text.size(),
                                   count));
            }
            const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
            // `\K` may move the beginning in front of where the last match ended.
            if (ends[0] < done || ends[1] < ends[0]) {
                throw Error(ErrorKind::unsupported, "a split expression matches backwards");
            }
            if (ends[0] == ends[1] && last_end == ends[1]) {
                from = end_of_character(text, from);
                continue;
            }
            if (ends[0] > done) {
                take(text.substr(done, ends[0] - done), false);
            }
            take(text.substr(ends[0], ends[1] - ends[0]), true);
            done = ends[1];
            from = done;
            last_end = done;
        }
        if (done < text.size()) {
            take(text.substr(done), false);
        }
    }

    /// Where a search goes on that found nothing but the place where the last match ended.
    static std::size_t end_of_character(std::string_view text, std::size_t position) {
        if (position == text.size()) {
            return position + 1;
        }
        static_cast<void>(next_character(text, position));
        return position;
    }

    int find_next(std::string_view text, std::size_t from, pcre2_match_data& match) const {
        const auto run = [&](pcre2_match_context* context) {
            return pcre2_match(code_.get(),
                               reinterpret_cast<PCRE2_SPTR>(text.data()),
                               text.size(),
                               from,
                               PCRE2_NO_UTF_CHECK,
                               &match,
                               context);
        };
        const int count = run(context_.get());
        if (count != PCRE2_ERROR_JIT_STACKLIMIT) {
            return count;
        }
        // The processor's own stack was too small, as happens for a long match that may turn back.
        const std::unique_ptr<pcre2_match_context, FreeContext> context(
            pcre2_match_context_copy(context_.get()));
        const std::unique_ptr<pcre2_jit_stack, FreeStack> stack(
            pcre2_jit_stack_create(std::size_t{1} << 20U, std::size_t{256} << 20U, nullptr));
        if (!context || !stack) {
            throw Error(ErrorKind::exhausted, "no memory is left to split text");
        }
        pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
        return run(context.get());
    }

    std::unique_ptr<pcre2_code, FreeCode> code_;
    std::unique_ptr<pcre2_match_context, FreeContext> context_;  // only read once it is made
};

Expression::Expression(std::string_view pattern, Dialect dialect)
    : code_(std::make_unique<Code>(pattern, dialect)) {}
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

void Expression::match(std::string_view text, const TakeMatch& take) const {
    code_->match(text, take);
}

}  // namespace anamnesis::language
