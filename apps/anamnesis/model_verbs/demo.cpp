// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/demo_pair.hpp"
#include "anamnesis/reproduction/demo_report.hpp"

#include "command.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

/// The story on the pair that ships with the project.
struct DemoOptions {
    CommonOptions common{};
    std::string out = "anamnesis-demo";
    std::uint64_t samples = 50;
};

void declare(CLI::App& app, DemoOptions& options) {
    OptionGroup group(app, "Demonstration");
    group.option("--out", options.out, "The folder to write.");
    group.option("--samples", options.samples, "Samples of each needle and length.")
        ->check(CLI::Range(1U, 1U << 20U));
}

/// The folder of the demo, and what its steps share.
struct Stage {
    fs::path folder;
    CommonOptions common;
    Terminal& terminal;
    const Watch& watch;

    std::string at(const char* name) const { return (folder / name).string(); }

    std::vector<std::string> on_pair(std::string verb, const std::vector<std::string>& more) const {
        std::vector<std::string> words{std::move(verb), "--pre", at("pre"), "--post", at("post")};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }

    /// Shows the command that a user would type, then runs it.
    void play(std::vector<std::string> words) const {
        if (common.threads != 0) {
            words.insert(words.end(), {"--threads", format("{}", common.threads)});
        }
        terminal.say("\n$ anamnesis " + join(words, " "));
        run_verb(words, terminal, watch);
    }
};

/// QK-Restore; QK-Pro, which gives up a little recall for reasoning; and the calibrated repair.
void repair(const Stage& stage) {
    const std::vector<std::string> texts{"--calibrate-recall",
                                         stage.at("recall-calibration.jsonl"),
                                         "--calibrate-chains",
                                         stage.at("chains-calibration.jsonl")};
    for (const std::string method : {"qk", "pro", "fit"}) {
        const std::string out = stage.at(method.c_str());
        if (fs::exists(out)) {
            continue;
        }
        std::vector<std::string> words =
            stage.on_pair("restore", {"--method", method, "--out", out});
        if (method == "fit") {
            words.insert(words.end(), texts.begin(), texts.end());
        }
        stage.play(std::move(words));
    }
}

void look(const Stage& stage) {
    stage.play({"inspect", stage.at("post")});
    stage.play(stage.on_pair("drift", {}));
}

int run(const DemoOptions& options, Terminal& terminal, const Watch& watch) {
    const Stage stage{.folder = options.out,
                      .common = {.quiet = options.common.quiet || options.common.json,
                                 .threads = options.common.threads},
                      .terminal = terminal,
                      .watch = watch};
    const fs::path page = reproduction::find_demo_page(stage.folder);
    report::check_page_target(page);
    reproduction::write_demo_pair(stage.folder);
    reproduction::write_demo_texts(stage.folder);
    terminal.say(
        format("{0}/pre recalls, {0}/post was fine-tuned on chains of thought: 0.4 "
               "million weights each, trained by 'anamnesis reproduce'",
               options.out));
    if (options.common.json) {
        repair(stage);
    } else {
        look(stage);
        repair(stage);
        stage.play(stage.on_pair("verify", {"--repaired", stage.at("qk")}));
    }
    const auto checkpoints =
        reproduction::report_demo(stage.folder, options.samples, options.common.threads, watch);
    const Json json =
        Json::Object{{"models", reproduction::to_json(checkpoints)}, {"report", page.string()}};
    terminal.show(options.common.json, json, "\n" + reproduction::to_text(checkpoints));
    terminal.say(format("report: {}", page.string()));
    terminal.say(
        format("how far back gradients reach: anamnesis gradients --model {0}/pre --data "
               "{0}/cot.jsonl --compare {0}/retrieval.jsonl --out {0}/gradients",
               options.out));
    return 0;
}

}  // namespace

Action add_demo(CLI::App& app) {
    return make_action<DemoOptions>(app, declare, run);
}

}  // namespace anamnesis::app
