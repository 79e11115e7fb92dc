// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/prompts_job.hpp"

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
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/sample.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/output_checks.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

WrittenPrompts write_prompts(const PromptsJob& job,
                             const language::Tokenizer& tokenizer,
                             const Watch& watch) {
    io::refuse_to_replace_input("--out", job.out, {job.tokenizer, job.haystack.essays});
    NiahMaterials materials = make_materials(job.haystack, tokenizer);
    std::vector<NiahSettings> generators = make_generators(job.haystack);
    watch.progress().begin(
        "writing prompts", generators.size() * job.haystack.samples, ProgressUnit::samples);
    io::AtomicFile file{job.out};
    Sha256 digest;
    WrittenPrompts written{.essays = materials.essays.name(),
                           .essays_sha256 = materials.essays.digest()};
    for (NiahSettings& how : generators) {
        how.leaves_wrapper_out = job.leaves_wrapper_out;
        NiahGenerator generator(how, materials);
        WrittenSet set{.task = std::string(how.task.name),
                       .length = how.length,
                       .haystack_size = generator.haystack_size(),
                       .shortest = how.length,
                       .depth = how.depth};
        for (std::uint64_t i = 0; i < job.haystack.samples; ++i) {
            throw_if_stopped(watch, [] { return "interrupted; nothing was written"; });
            const Sample sample = generator.next();
            const std::string line = to_ruler_line(sample,
                                                   {.tokens_to_generate = how.tokens_to_generate,
                                                    .wrapper_tokens = generator.wrapper_tokens()});
            file.file().write_at(written.bytes, std::as_bytes(std::span(line)));
            digest.update(line);
            written.bytes += line.size();
            const std::size_t tokens = sample.prompt_tokens + how.tokens_to_generate;
            set.shortest = std::min(set.shortest, tokens);
            set.longest = std::max(set.longest, tokens);
            watch.progress().advance(1);
        }
        written.sets.push_back(std::move(set));
    }
    file.commit();
    watch.progress().finish();
    written.sha256 = digest.finish();
    return written;
}

Json to_json(const PromptsJob& job, const WrittenPrompts& written) {
    Json sets = Json::array();
    for (const WrittenSet& set : written.sets) {
        Json json = Json::Object{{"task", set.task},
                                 {"length", std::uint64_t{set.length}},
                                 {"samples", job.haystack.samples},
                                 {"haystack_size", std::uint64_t{set.haystack_size}},
                                 {"shortest", std::uint64_t{set.shortest}},
                                 {"longest", std::uint64_t{set.longest}}};
        if (set.depth) {
            json.set("depth", std::uint64_t{*set.depth});
        }
        sets.push_back(std::move(json));
    }
    return Json::Object{{"out", job.out.string()},
                        {"bytes", written.bytes},
                        {"sha256", written.sha256},
                        {"essays", written.essays},
                        {"essays_sha256", written.essays_sha256},
                        {"sets", std::move(sets)}};
}

}  // namespace anamnesis::eval
