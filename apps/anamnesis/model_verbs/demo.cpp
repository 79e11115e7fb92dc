// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/demo_pair.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/probe.hpp"

#include "model_verbs/model_verbs.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

/// The folder of the demo, and what its steps share.
struct Stage {
    fs::path folder;
    CommonOptions common;
    Terminal& terminal;
    const Watch& watch;

    std::string at(const char* name) const { return (folder / name).string(); }

    /// Shows the command that a user would type, then runs it.
    template <class Options>
    void play(std::initializer_list<std::string> words, const Options& options) const {
        terminal.say("\n$ anamnesis " + join(std::vector<std::string>(words), " "));
        Terminal own(terminal.is_quiet());
        if constexpr (requires { run(options, own, watch); }) {
            run(options, own, watch);
        } else {
            run(options, own);
        }
    }
};

/// QK-Restore, and QK-Pro, which gives up a little recall for reasoning.
void repair(const Stage& stage) {
    for (const char* method : {"qk", "pro"}) {
        const std::string out = stage.at(method);
        if (fs::exists(out)) {
            continue;
        }
        RestoreOptions options{
            .common = stage.common, .pre = stage.at("pre"), .post = stage.at("post"), .out = out};
        options.selection.method = method;
        options.selection.has_selection = true;
        stage.play({"restore",
                    "--pre",
                    options.pre,
                    "--post",
                    options.post,
                    "--method",
                    method,
                    "--out",
                    out},
                   options);
    }
}

void look(const Stage& stage) {
    const std::string pre = stage.at("pre");
    const std::string post = stage.at("post");
    stage.play({"inspect", post}, InspectOptions{.common = stage.common, .checkpoint = post});
    stage.play({"drift", "--pre", pre, "--post", post},
               DriftOptions{.common = stage.common, .pre = pre, .post = post});
}

void prove(const Stage& stage) {
    const VerifyOptions options{.common = stage.common,
                                .pre = stage.at("pre"),
                                .post = stage.at("post"),
                                .repaired = stage.at("qk")};
    stage.play(
        {"verify", "--pre", options.pre, "--post", options.post, "--repaired", options.repaired},
        options);
}

std::vector<reproduction::NamedMeasurement> ask_all(const Stage& stage,
                                                    const reproduction::Questions& questions) {
    reproduction::ProbeJob job;
    job.questions = questions;
    job.threads = stage.common.threads;
    for (const char* name : {"pre", "post", "qk", "pro"}) {
        job.checkpoints.push_back({.name = name, .path = stage.at(name)});
    }
    return reproduction::run_probe(job, stage.watch);
}

}  // namespace

int run(const DemoOptions& options, Terminal& terminal, const Watch& watch) {
    const Stage stage{.folder = options.out,
                      .common = {.quiet = options.common.quiet || options.common.json,
                                 .threads = options.common.threads},
                      .terminal = terminal,
                      .watch = watch};
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
        prove(stage);
    }
    const reproduction::Questions questions{.lengths = {128, 512, 2048},
                                            .recall_samples = options.samples,
                                            .reasoning_samples = options.samples,
                                            .seed = 999};
    const auto checkpoints = ask_all(stage, questions);
    const fs::path page = stage.folder / "report.html";
    io::write_text_atomically(page, report::to_html(reproduction::to_document(checkpoints)));
    if (options.common.json) {
        terminal.result(Json(Json::Object{{"models", reproduction::to_json(checkpoints)},
                                          {"report", page.string()}})
                            .dump(2) +
                        "\n");
    } else {
        terminal.result("\n" + reproduction::to_text(checkpoints));
    }
    terminal.say(format("report: {}", page.string()));
    terminal.say(
        format("how far back gradients reach: anamnesis gradients --model {0}/pre --data "
               "{0}/cot.jsonl --compare {0}/retrieval.jsonl --out {0}/gradients",
               options.out));
    return 0;
}

}  // namespace anamnesis::app
