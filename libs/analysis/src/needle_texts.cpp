// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/needle_texts.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/io/line_reader.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::analysis {
namespace {

std::vector<std::int64_t> widened(std::span<const language::TokenId> tokens) {
    return {tokens.begin(), tokens.end()};
}

/// The tokens that hold bytes of the value. `lead` tokens come before those of the text.
TokenSpan find_span(const language::Tokenizer& tokenizer,
                    std::span<const language::TokenId> tokens,
                    std::string_view text,
                    std::string_view value,
                    std::size_t lead) {
    const std::size_t begin = text.find(value);
    if (begin == std::string_view::npos || value.empty()) {
        throw Error(ErrorKind::mismatch,
                    format("the value {} is not in the prompt", in_quotes(value)));
    }
    const std::size_t end = begin + value.size();
    TokenSpan span;
    std::size_t offset = 0;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
        const std::size_t next = offset + tokenizer.token_bytes(tokens[t]).size();
        if (offset <= begin && begin < next) {
            span.first = lead + t;
        }
        if (offset < end && end <= next) {
            span.end = lead + t + 1;
        }
        offset = next;
    }
    if (offset != text.size() || span.end <= span.first) {
        throw Error(ErrorKind::mismatch,
                    "the tokenizer rewrites the prompt, so the needle's tokens cannot be told");
    }
    return span;
}

NeedleText make_text(const eval::Sample& sample, const language::Tokenizer& tokenizer) {
    const std::string prompt = sample.prompt();
    const auto tokens = tokenizer.encode(prompt);
    const auto whole = tokenizer.encode(prompt, {.adds_special = true});
    NeedleText text{.id = format("{}-{}-{}", sample.task, sample.length, sample.index),
                    .prompt = widened(whole)};
    if (sample.references.empty()) {
        return text;
    }
    text.value = sample.references.front();
    text.needle = in_context(
        [&] { return format("placing the needle of sample {}", text.id); },
        [&] {
            return find_span(tokenizer, tokens, prompt, text.value, whole.size() - tokens.size());
        });
    const bool is_after_space = prompt.ends_with(' ') || prompt.ends_with('\n');
    text.answer = widened(tokenizer.encode((is_after_space ? "" : " ") + text.value));
    return text;
}

bool holds_plain_texts(const std::string& path) {
    io::JsonLineReader lines(path);
    Json line;
    return lines.next(line) && line.find("text") != nullptr;
}

std::vector<NeedleText> read_plain_texts(const std::string& path,
                                         const language::Tokenizer& tokenizer) {
    io::JsonLineReader lines(path);
    std::vector<NeedleText> texts;
    Json line;
    while (lines.next(line)) {
        const auto tokens =
            in_context([&] { return format("reading {}", lines.place()); },
                       [&] {
                           return tokenizer.encode(line.at("text").as_string("'text'"),
                                                   {.adds_special = true});
                       });
        if (!tokens.empty()) {
            texts.push_back({.id = format("{}", lines.number()), .prompt = widened(tokens)});
        }
    }
    return texts;
}

}  // namespace

std::vector<NeedleText> make_needle_texts(const eval::HaystackPlan& plan,
                                          const language::Tokenizer& tokenizer) {
    eval::NiahMaterials materials = eval::make_materials(plan, tokenizer);
    std::vector<NeedleText> texts;
    for (const eval::NiahSettings& how : eval::make_generators(plan)) {
        eval::NiahGenerator generator(how, materials);
        for (std::uint64_t i = 0; i < plan.samples; ++i) {
            NeedleText text = make_text(generator.next(), tokenizer);
            text.id += how.depth ? format("-depth{}", *how.depth) : std::string();
            texts.push_back(std::move(text));
        }
    }
    return texts;
}

std::vector<NeedleText> read_needle_texts(const std::string& path,
                                          const language::Tokenizer& tokenizer) {
    std::vector<NeedleText> texts;
    if (holds_plain_texts(path)) {
        texts = read_plain_texts(path, tokenizer);
    } else {
        const std::string name = std::filesystem::path(path).stem().string();
        for (const eval::Sample& sample : eval::read_ruler_prompts(path, name)) {
            texts.push_back(make_text(sample, tokenizer));
        }
    }
    if (texts.empty()) {
        throw Error(ErrorKind::mismatch, format("no text in {}", in_quotes(path)));
    }
    return texts;
}

}  // namespace anamnesis::analysis
