// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/niah.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/answer_checks.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/eval/string_match.hpp"
#include "anamnesis/eval/unicode.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::size_t question_bytes = 240;

bool is_value_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
}

/// The first values an answer names: runs of letters, digits and hyphens with a digit in them (or,
/// where the references have none, as many words as these are).
std::vector<std::string> first_values(const std::string& text,
                                      const std::vector<std::string>& references) {
    const auto has_digit = [](std::string_view word) {
        return std::ranges::any_of(word, [](char c) { return c >= '0' && c <= '9'; });
    };
    const bool wants_digits = std::ranges::all_of(references, has_digit);
    std::vector<std::string> values;
    for (std::size_t at = 0; at < text.size() && values.size() < references.size();) {
        std::size_t end = at;
        while (end < text.size() && is_value_character(text[end])) {
            ++end;
        }
        const std::string word = text.substr(at, end - at);
        if (!word.empty() && (!wants_digits || has_digit(word))) {
            values.push_back(word);
        }
        at = end + 1;
    }
    return values;
}

bool names_exactly(const std::string& text, std::vector<std::string> references) {
    std::vector<std::string> values = first_values(text, references);
    std::ranges::sort(values);
    std::ranges::sort(references);
    return values == references;
}

/// The end of a prompt, from the beginning of a character.
std::string take_end(const std::string& text) {
    std::size_t begin = text.size() - std::min(text.size(), question_bytes);
    while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) {
        ++begin;
    }
    return text.substr(begin);
}

Json to_line(const Sample& sample,
             const std::string& prompt_digest,
             const std::string& question,
             const Answer& answer) {
    const NiahVerdict verdict = judge_niah(sample, answer);
    Json line = Json::Object{{"task", sample.task},
                             {"length", std::uint64_t{sample.length}},
                             {"index", std::uint64_t{sample.index}}};
    if (sample.depth) {
        line.set("depth", std::uint64_t{*sample.depth});
    }
    line.set("score", verdict.score);
    line.set("first_exact", verdict.is_first_exact);
    line.set("wrong_needle", verdict.has_wrong_needle);
    line.set("empty", verdict.is_empty);
    line.set("degenerate", verdict.is_degenerate);
    line.set("truncated", verdict.is_truncated);
    line.set("unfinished", verdict.is_unfinished);
    if (answer.expected_logprob) {
        line.set("logprob", *answer.expected_logprob);
    }
    line.set("finish", language::to_string(answer.finish));
    line.set("prompt_tokens", std::uint64_t{answer.prompt_tokens});
    line.set("new_tokens", std::uint64_t{answer.new_tokens});
    line.set("seconds", answer.seconds);
    line.set("references", join(sample.references, ", "));
    line.set("text", answer.text);
    line.set("question", question);
    line.set("prompt_sha256", prompt_digest);
    return line;
}

Item make_item(Sample sample, const NiahAsking& asking, const OnSample& on_sample) {
    Item item;
    item.question.id = format("{}-{}-{}", sample.task, sample.length, sample.index);
    const std::string prompt_digest =
        compute_sha256(asking.gives_prefix ? sample.prompt() : sample.input);
    const std::string question = take_end(sample.input) + sample.answer_prefix;
    item.question.input = sample.input;
    item.question.answer_prefix = asking.gives_prefix ? sample.answer_prefix : std::string();
    item.question.max_new_tokens = asking.max_new_tokens;
    if (asking.asks_logprob && asking.gives_prefix) {
        item.question.expected = " " + join(sample.references, ", ");
    }
    if (on_sample) {
        on_sample(sample, item.question);
    }
    sample.input = {};
    item.judge = [facts = std::move(sample), prompt_digest, question](const Answer& answer) {
        return to_line(facts, prompt_digest, question, answer);
    };
    return item;
}

}  // namespace

NiahVerdict judge_niah(const Sample& sample, const Answer& answer) {
    const grading::AnswerPart part = grading::after_reasoning(answer.text);
    const std::string text = part.is_open ? std::string() : ruler_postprocess(part.text);
    const std::string lower = python_lower(text);
    const auto is_reference = [&](const std::string& value) {
        return std::ranges::find(sample.references, value) != sample.references.end();
    };
    return {.score = string_match_all(text, sample.references),
            .is_first_exact = names_exactly(lower, sample.references),
            .has_wrong_needle = std::ranges::any_of(
                sample.distractors,
                [&](const std::string& value) {
                    return !is_reference(value) && lower.find(value) != std::string::npos;
                }),
            .is_empty = text.empty(),
            .is_degenerate = is_degenerate(text),
            .is_truncated = answer.finish == language::FinishReason::length,
            .is_unfinished = part.is_open};
}

NextItem niah_items(std::vector<NiahSettings> generators,
                    std::size_t samples,
                    NiahMaterials& materials,
                    const NiahAsking& asking,
                    const OnSample& on_sample) {
    struct State {
        std::vector<NiahSettings> generators;
        std::size_t place = 0;
        std::size_t made = 0;
        std::optional<NiahGenerator> generator{};
    };
    auto state = std::make_shared<State>(State{.generators = std::move(generators)});
    return [state, samples, &materials, asking, on_sample]() -> std::optional<Item> {
        if (state->made == samples) {
            state->made = 0;
            state->generator.reset();
            ++state->place;
        }
        if (state->place == state->generators.size()) {
            return std::nullopt;
        }
        const NiahSettings& options = state->generators[state->place];
        if (!state->generator) {
            state->generator.emplace(options, materials);
        }
        ++state->made;
        Item item = make_item(state->generator->next(), asking, on_sample);
        if (options.depth) {
            item.question.id += format("-at-{}", *options.depth);
        }
        return item;
    };
}

NextItem niah_items(std::vector<Sample> samples,
                    const NiahAsking& asking,
                    const OnSample& on_sample) {
    auto left = std::make_shared<std::vector<Sample>>(std::move(samples));
    std::ranges::reverse(*left);
    return [left, asking, on_sample]() -> std::optional<Item> {
        if (left->empty()) {
            return std::nullopt;
        }
        Item item = make_item(std::move(left->back()), asking, on_sample);
        left->pop_back();
        return item;
    };
}

NiahResult read_niah_result(const Json& line) {
    const auto flag = [&](const char* key) { return line.at(key).as_boolean(key); };
    NiahResult result{.checkpoint = line.at("checkpoint").as_string("'checkpoint'"),
                      .id = line.at("id").as_string("'id'"),
                      .task = line.at("task").as_string("'task'"),
                      .length = line.at("length").as_unsigned("'length'")};
    if (const Json* depth = line.find("depth")) {
        result.depth = static_cast<std::uint32_t>(depth->as_unsigned("'depth'"));
    }
    result.verdict = {.score = line.at("score").as_double("'score'"),
                      .is_first_exact = flag("first_exact"),
                      .has_wrong_needle = flag("wrong_needle"),
                      .is_empty = flag("empty"),
                      .is_degenerate = flag("degenerate"),
                      .is_truncated = flag("truncated"),
                      .is_unfinished = flag("unfinished")};
    if (const Json* logprob = line.find("logprob"); logprob && logprob->is_number()) {
        result.logprob = logprob->as_double("'logprob'");
    }
    if (const Json* tokens = line.find("prompt_tokens")) {
        result.prompt_tokens = tokens->as_unsigned("'prompt_tokens'");
    }
    result.text = line.at("text").as_string("'text'");
    result.references = line.at("references").as_string("'references'");
    result.question = line.at("question").as_string("'question'");
    return result;
}

}  // namespace anamnesis::eval
