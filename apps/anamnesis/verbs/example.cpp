// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/example.hpp"

#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct ExampleOptions {
    CommonOptions common{};
    std::string folder{};
};

void declare(CLI::App& app, ExampleOptions& options) {
    app.add_option("folder", options.folder, "Where pre/ and post/ go.")->required();
}

int run(const ExampleOptions& options, Terminal& terminal) {
    const std::filesystem::path folder(options.folder);
    restore::write_example_pair(folder);
    if (options.common.json) {
        terminal.result(Json(Json::Object{{"pre", (folder / "pre").string()},
                                          {"post", (folder / "post").string()}})
                            .dump(2) +
                        "\n");
    }
    terminal.say(
        format("{0}/pre and {0}/post: a HypeNet-shaped pair with random weights; post is "
               "pre moved by 5 %, W_Q and W_K of layers 2 and 5 by 30 %",
               folder.string()));
    return 0;
}

}  // namespace

Action add_example(CLI::App& app) {
    return make_action<ExampleOptions>(app, declare, run);
}

}  // namespace anamnesis::app
