// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/preflight.hpp"

#include <cstddef>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

void check_before_run(const Sample& sample, const Question& question, const PreflightFacts& facts) {
    const std::string what = format("{} at {} tokens", sample.task, sample.length);
    if (facts.gives_prefix && sample.answer_prefix.empty()) {
        throw Error(ErrorKind::usage,
                    format("{}: the prompts have no answer_prefix, without which models score near "
                           "zero; give prompts with it, or --no-prefix",
                           what));
    }
    const std::string prompt = facts.form.text_of(question);
    if (facts.gives_prefix && !prompt.ends_with(sample.answer_prefix)) {
        throw Error(ErrorKind::usage,
                    format("{}: the chat template cuts the answer prefix {}; give --no-prefix or "
                           "leave out --chat",
                           what,
                           in_quotes(sample.answer_prefix)));
    }
    const std::size_t answer_tokens = facts.count_tokens(" " + join(sample.references, ", ") + ".");
    if (answer_tokens > facts.max_new_tokens) {
        throw Error(ErrorKind::usage,
                    format("{}: the true answer has {} tokens, --max-tokens allows {}",
                           what,
                           answer_tokens,
                           facts.max_new_tokens));
    }
    const std::size_t needed = facts.count_tokens(prompt) + facts.max_new_tokens;
    if (facts.context_length && needed > *facts.context_length) {
        throw Error(ErrorKind::usage,
                    format("{}: prompt and answer take {} tokens, the model {}; give shorter "
                           "--lengths, or --context-length if it can do more",
                           what,
                           needed,
                           *facts.context_length));
    }
}

}  // namespace anamnesis::eval
