// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/tokenize_job.hpp"

#include "option_group.hpp"
#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct TokenizeOptions {
    CommonOptions common{};
    language::TokenizeJob job{};
    std::string text{};
};

void declare(CLI::App& app, TokenizeOptions& options) {
    OptionGroup required(app, "Required");
    required
        .option("--tokenizer",
                options.job.tokenizer,
                "A checkpoint, or the folder or file of a tokenizer.")
        ->required();
    OptionGroup input(app, "Input");
    app.add_option("TEXT", options.text, "A text, to see its tokens.");
    input.option("--in",
                 options.job.in,
                 "JSON lines with text, ids or messages (docs/chat-templates.md); - reads standard "
                 "input.");
    input.option("--out", options.job.out, "The JSON lines to write, one for each of --in.");
}

int run(const TokenizeOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.job.in.empty() != options.job.out.empty()) {
        throw Error(ErrorKind::usage, "--in and --out belong together");
    }
    if (options.job.in.empty() == options.text.empty()) {
        throw Error(ErrorKind::usage, "give a text, or --in and --out");
    }
    if (options.job.in.empty()) {
        const Json tokens = language::tokenize_text(options.job.tokenizer, options.text, watch);
        terminal.result(options.common.json ? tokens.dump(2) + "\n"
                                            : language::list_tokens(tokens));
        return 0;
    }
    const language::TokenizeSummary summary = language::tokenize_lines(options.job, watch);
    terminal.show(options.common.json, to_json(options.job, summary), to_text(summary));
    return 0;
}

}  // namespace

Action add_tokenize(CLI::App& app) {
    return make_action<TokenizeOptions>(app, declare, run);
}

}  // namespace anamnesis::app
