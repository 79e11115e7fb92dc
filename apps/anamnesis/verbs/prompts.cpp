// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/prompts_job.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "option_group.hpp"
#include "options/common.hpp"
#include "options/haystack.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct PromptsOptions {
    CommonOptions common{};
    eval::HaystackPlan haystack{};
    std::string tokenizer{};
    std::string out{};
    bool prepare_for_ns = false;
};

void declare(CLI::App& app, PromptsOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--tokenizer", options.tokenizer, "The folder of the tokenizer.")->required();
    required.option("--out", options.out, "The file to write.")->required();
    declare_haystack(app, options.haystack);
    for (const char* name : {"--tasks", "--lengths"}) {
        app.get_option(name)->required()->group("Required");
    }
    OptionGroup(app, "Needles in haystacks")
        .flag("--prepare-for-ns",
              options.prepare_for_ns,
              "Count the template, but leave it out, as RULER's --prepare_for_ns does.");
}

int run(const PromptsOptions& options, Terminal& terminal, const Watch& watch) {
    const auto tokenizer = language::Tokenizer::open(options.tokenizer);
    const eval::PromptsJob job{.haystack = options.haystack,
                               .out = options.out,
                               .leaves_wrapper_out = options.prepare_for_ns,
                               .tokenizer = options.tokenizer};
    const eval::WrittenPrompts written = eval::write_prompts(job, tokenizer, watch);
    if (options.common.json) {
        terminal.result(eval::to_json(job, written).dump(2) + "\n");
    }
    terminal.say(format("{}: {} prompts, {}, sha256 {}",
                        options.out,
                        written.sets.size() * options.haystack.samples,
                        human_bytes(written.bytes),
                        written.sha256));
    if (options.haystack.essays.empty()) {
        terminal.say(
            "essay haystacks are the built-in text: RULER-style, not comparable with "
            "published figures");
    }
    return 0;
}

}  // namespace

Action add_prompts(CLI::App& app) {
    return make_action<PromptsOptions>(app, declare, run);
}

}  // namespace anamnesis::app
