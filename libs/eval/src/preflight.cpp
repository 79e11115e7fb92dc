// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/preflight.hpp"

#include <cstddef>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

void check_room(const std::string& what, const Question& question, const PreflightFacts& facts) {
    if (!facts.context_length) {
        return;
    }
    const std::size_t needed =
        facts.count_tokens(facts.form.render(question)) + question.max_new_tokens;
    if (needed > *facts.context_length) {
        throw Error(ErrorKind::usage,
                    format("{}: prompt and answer take {} tokens, the model {}; ask for less "
                           "({}), or {}",
                           what,
                           needed,
                           *facts.context_length,
                           facts.less,
                           facts.is_served ? "start the server with a larger context"
                                           : "give --context-length if it can do more"));
    }
}

void check_needle(const Sample& sample,
                  const Question& question,
                  bool gives_prefix,
                  const PreflightFacts& facts) {
    const std::string what = format("{} at {} tokens", sample.task, sample.length);
    if (gives_prefix && sample.answer_prefix.empty()) {
        throw Error(ErrorKind::usage,
                    format("{}: the prompts have no answer_prefix, without which models score near "
                           "zero; give prompts with it, or --no-prefix",
                           what));
    }
    if (gives_prefix && !facts.form.render(question).ends_with(sample.answer_prefix)) {
        throw Error(ErrorKind::usage,
                    format("{}: the chat template cuts the answer prefix {}; give --no-prefix or "
                           "leave out --chat",
                           what,
                           in_quotes(sample.answer_prefix)));
    }
    const std::size_t answer_tokens = facts.count_tokens(" " + join(sample.references, ", ") + ".");
    if (answer_tokens > question.max_new_tokens) {
        throw Error(ErrorKind::usage,
                    format("{}: the true answer has {} tokens, --max-tokens allows {}",
                           what,
                           answer_tokens,
                           question.max_new_tokens));
    }
    check_room(what, question, facts);
}

}  // namespace anamnesis::eval
