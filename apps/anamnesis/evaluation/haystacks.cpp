// SPDX-License-Identifier: Apache-2.0
#include "evaluation/haystacks.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "options.hpp"

namespace anamnesis::app {
namespace {

std::size_t length_of(std::string_view word) {
    std::string_view digits = word;
    std::size_t unit = 1;
    if (digits.ends_with('k') || digits.ends_with('K')) {
        digits.remove_suffix(1);
        unit = 1024;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size() || number == 0) {
        throw Error(
            ErrorKind::usage,
            format("--lengths: {} is no length; give 4096, 4k or 4k..256k", in_quotes(word)));
    }
    return number * unit;
}

}  // namespace

std::vector<std::size_t> lengths_of(const std::vector<std::string>& words) {
    std::vector<std::size_t> lengths;
    for (const std::string& word : words) {
        const std::size_t dots = word.find("..");
        if (dots == std::string::npos) {
            lengths.push_back(length_of(word));
            continue;
        }
        const std::size_t last = length_of(std::string_view(word).substr(dots + 2));
        for (std::size_t length = length_of(std::string_view(word).substr(0, dots)); length <= last;
             length *= 2) {
            lengths.push_back(length);
        }
    }
    return lengths;
}

std::vector<eval::NiahOptions> generators_of(const HaystackOptions& options) {
    std::vector<std::optional<std::uint32_t>> depths(1);
    if (options.depths > 0) {
        depths.clear();
        for (std::uint32_t i = 0; i < options.depths; ++i) {
            depths.emplace_back(
                static_cast<std::uint32_t>(std::lround(100.0 * i / (options.depths - 1))));
        }
    }
    const bool is_own = options.wrapper.find("{task_template}") != std::string::npos;
    const std::string wrapper =
        is_own ? options.wrapper : std::string(eval::ruler_wrapper(options.wrapper));
    std::vector<eval::NiahOptions> generators;
    for (const std::size_t length : lengths_of(options.lengths)) {
        for (const std::string& task : options.tasks) {
            for (const auto& depth : depths) {
                generators.push_back({.task = eval::niah_task(task),
                                      .length = length,
                                      .seed = options.seed,
                                      .wrapper = wrapper,
                                      .singular = options.sane_wording
                                                      ? eval::SingularWording::task_only
                                                      : eval::SingularWording::as_ruler,
                                      .tokens_to_generate = options.tokens_to_generate,
                                      .removes_newlines = options.remove_newline_tab,
                                      .depth = depth});
            }
        }
    }
    return generators;
}

eval::NiahMaterials materials_of(const HaystackOptions& options,
                                 const language::Tokenizer& tokenizer) {
    const eval::TokenCounter counter{
        .count = [&tokenizer](std::string_view text) { return tokenizer.encode(text).size(); },
        .cuts_before_spaces = tokenizer.cuts_before_spaces()};
    return {.counter = counter,
            .words = eval::WordPairs::wonderwords(),
            .essays = options.essays.empty() ? eval::EssayCorpus::built_in(counter)
                                             : eval::EssayCorpus::open(options.essays, counter)};
}

}  // namespace anamnesis::app
