// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/haystacks.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

int run(const PromptsOptions& options, Terminal& terminal) {
    const auto tokenizer = language::Tokenizer::open(options.tokenizer);
    eval::NiahMaterials materials = materials_of(options.haystack, tokenizer);
    std::vector<eval::NiahOptions> generators = generators_of(options.haystack);

    ProgressBar progress(terminal.is_quiet());
    progress.begin(
        "writing prompts", generators.size() * options.haystack.samples, ProgressUnit::samples);
    io::AtomicFile file{options.out};
    Sha256 digest;
    std::uint64_t written = 0;
    Json sets = Json::array();
    for (eval::NiahOptions& how : generators) {
        how.leaves_wrapper_out = options.prepare_for_ns;
        eval::NiahGenerator generator(how, materials);
        std::size_t shortest = how.length;
        std::size_t longest = 0;
        for (std::uint64_t i = 0; i < options.haystack.samples; ++i) {
            const eval::Sample sample = generator.next();
            const std::string line =
                eval::to_ruler_line(sample,
                                    {.tokens_to_generate = how.tokens_to_generate,
                                     .wrapper_tokens = generator.wrapper_tokens()});
            file.file().write_at(written, std::as_bytes(std::span(line)));
            digest.update(line);
            written += line.size();
            shortest = std::min(shortest, sample.prompt_tokens + how.tokens_to_generate);
            longest = std::max(longest, sample.prompt_tokens + how.tokens_to_generate);
            progress.advance(1);
        }
        Json set = Json::Object{{"task", how.task.name},
                                {"length", std::uint64_t{how.length}},
                                {"samples", options.haystack.samples},
                                {"haystack_size", std::uint64_t{generator.haystack_size()}},
                                {"shortest", std::uint64_t{shortest}},
                                {"longest", std::uint64_t{longest}}};
        if (how.depth) {
            set.set("depth", std::uint64_t{*how.depth});
        }
        sets.push_back(std::move(set));
    }
    file.commit();
    progress.finish();
    const std::string sha256 = digest.finish();
    if (options.common.json) {
        terminal.result(Json(Json::Object{{"out", options.out},
                                          {"bytes", written},
                                          {"sha256", sha256},
                                          {"essays", materials.essays.name()},
                                          {"essays_sha256", materials.essays.digest()},
                                          {"sets", std::move(sets)}})
                            .dump(2) +
                        "\n");
    }
    terminal.say(format("{}: {} prompts, {}, sha256 {}",
                        options.out,
                        generators.size() * options.haystack.samples,
                        human_bytes(written),
                        sha256));
    if (options.haystack.essays.empty()) {
        terminal.say(
            "essay haystacks are the built-in text: RULER-style, not comparable with "
            "published figures");
    }
    return 0;
}

}  // namespace anamnesis::app
