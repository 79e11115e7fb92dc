// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/output_checks.hpp"
#include "anamnesis/runtime/array_file.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct LogitsOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::string ids{};
    std::string out{};
    bool hidden_states = false;
    bool step = false;
};

void declare(CLI::App& app, LogitsOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--model", options.checkpoint, "The checkpoint (folder or GGUF).")->required();
    required.option("--ids", options.ids, "A .safetensors file with input_ids [B, T].")->required();
    required.option("--out", options.out, "The file to write: logits [B, T, V].")->required();
    OptionGroup reading(app, "How the tokens are read");
    reading.flag("--hidden-states",
                 options.hidden_states,
                 "Write hidden_states.i too: the residual stream before layer 0 and after each "
                 "layer.");
    auto* chunk = reading.option("--chunk",
                                 options.model.chunk,
                                 "Read this many tokens at a time; the whole text at once where it "
                                 "is not given.");
    chunk->check(CLI::Range(1U, 1U << 20U))->default_str("");
    reading.flag("--step", options.step, "Read token by token.")->excludes(chunk);
    declare_adapter(app, options.model);
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

int run(const LogitsOptions& options, Terminal& terminal) {
    const auto model = eval::name_model(options.checkpoint, options.model.adapters);
    const ReadingOptions& how = options.reading;
    io::refuse_to_replace_input(
        "--out", options.out, {options.ids, model.place, model.adapter, how.config, how.routing});
    const runtime::InputIds input = runtime::read_input_ids(options.ids);
    const OpenedModel opened = open_model(model, options.model, how, options.common);
    const std::vector<runtime::NamedArray> arrays =
        opened.model->logits({.ids = input.ids,
                              .batch = input.shape.front(),
                              .chunk = options.step ? 1 : options.model.chunk,
                              .wants_hidden_states = options.hidden_states});
    runtime::write_arrays(options.out, arrays);
    if (options.common.json) {
        const Json written =
            Json::Object{{"out", options.out}, {"tensors", runtime::describe(arrays)}};
        terminal.result(add_findings(written, opened.findings).dump(2) + "\n");
    }
    for (const runtime::NamedArray& array : arrays) {
        terminal.say(format("{} {}", array.name, to_string(array.shape)));
    }
    return 0;
}

}  // namespace

Action add_logits(CLI::App& app) {
    return make_action<LogitsOptions>(app, declare, run);
}

}  // namespace anamnesis::app
