// SPDX-License-Identifier: Apache-2.0
#include "evaluation/haystacks.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/lengths.hpp"
#include "options.hpp"

namespace anamnesis::app {
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
