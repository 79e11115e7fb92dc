// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/train_evaluation.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/niah_job.hpp"
#include "anamnesis/eval/reason_job.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/trainer.hpp"

#include "load_model.hpp"
#include "model_verbs/train_options.hpp"
#include "open_checkpoint.hpp"
#include "options/model.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

/// The same samples as 'probe' takes.
Json ask_synthetic(const TrainOptions& options, const runtime::Network& network) {
    using train::synthetic::Needle;
    constexpr std::uint64_t seed = 999;
    Json figures = Json::object();
    for (const auto& [needle, name] :
         {std::pair{Needle::s1, "S1"}, std::pair{Needle::s2, "S2"}, std::pair{Needle::s3, "S3"}}) {
        Json lengths = Json::object();
        for (const std::uint64_t length : options.evaluated_lengths) {
            lengths.set(
                format("{}", length),
                train::synthetic::recall(network, needle, length, options.evaluated_samples, seed)
                    .percent());
        }
        figures.set(name, std::move(lengths));
    }
    figures.set("cot",
                train::synthetic::reasoning(network, options.evaluated_samples, seed).percent());
    return figures;
}

/// What the evaluations of a step share.
struct Asking {
    const TrainOptions& options;
    fs::path place;
    const language::Tokenizer& tokenizer;
    const Watch& watch;

    fs::path checkpoint() const { return place / "checkpoint"; }

    eval::AskingJob make_job(const fs::path& out) const {
        return {.models = {{.name = "trained", .place = checkpoint().string()}},
                .open = [this](const eval::AskedModel& model) { return open(model); },
                .tokenizer = &tokenizer,
                .out = out};
    }

    eval::Engine open(const eval::AskedModel& model) const {
        const ModelOptions how{.dtype = options.dtype, .device = options.device, .chunk = 512};
        eval::PromptForm form;
        if (options.chat) {
            form.chat = language::ChatTemplate::open(model.place);
        }
        return eval::make_embedded_engine(
            load_model(model.place, how, options.reading, {.threads = options.common.threads}),
            {.form = std::move(form), .prefill_chunk = how.chunk},
            model.place);
    }
};

Json ask_needles(const Asking& asking, const fs::path& out) {
    eval::NiahJob job{.asking = asking.make_job(out)};
    job.haystack.tasks = {"s1", "s2", "s3"};
    job.haystack.lengths = {asking.options.evaluated_lengths.begin(),
                            asking.options.evaluated_lengths.end()};
    job.haystack.samples = asking.options.evaluated_samples;
    job.max_new_tokens = job.haystack.tokens_to_generate;
    job.is_chat = asking.options.chat;
    eval::Scoreboard unseen;
    const auto report = eval::run_niah(job, unseen, asking.watch);
    Json figures = Json::object();
    const Json summary = Json::parse(report.value().json);
    for (const Json& cell : summary.at("cells").as_array("cells")) {
        const std::string& task = cell.at("task").as_string("task");
        const Json* known = figures.find(task);
        Json lengths = known == nullptr ? Json::object() : *known;
        lengths.set(cell.at("length").dump(), cell.at("score"));
        figures.set(task, std::move(lengths));
    }
    return figures;
}

Json ask_problems(const Asking& asking, const fs::path& out) {
    const eval::ReasonJob job{.asking = asking.make_job(out),
                              .task = eval::parse_reasoning_task(asking.options.evaluated_task),
                              .data = asking.options.evaluated_data,
                              .limit = asking.options.evaluated_samples,
                              .is_chat = asking.options.chat};
    eval::Scoreboard unseen;
    const auto report = eval::run_reason(job, unseen, asking.watch);
    const Json summary = Json::parse(report.value().json);
    return summary.at("cells").as_array("cells").front().at("average").as_double("average") * 100.0;
}

Json ask_as_verbs_do(const TrainOptions& options,
                     const OpenedCheckpoint& opened,
                     const train::Trainer& trainer,
                     std::uint64_t steps_done,
                     const Watch& watch) {
    const fs::path place = fs::path(options.out) / "evaluation";
    fs::create_directories(place / "checkpoint");
    train::write_checkpoint(opened.checkpoint, trainer.weights(), place / "checkpoint");
    const auto tokenizer = language::Tokenizer::open(place / "checkpoint");
    SilentProgress silent;
    const Watch quiet(silent, watch.stop());
    const Asking asking{.options = options, .place = place, .tokenizer = tokenizer, .watch = quiet};
    Json figures = ask_needles(asking, place / format("niah-{}", steps_done));
    if (!options.evaluated_task.empty()) {
        figures.set(options.evaluated_task,
                    ask_problems(asking, place / format("reason-{}", steps_done)));
    }
    return figures;
}

}  // namespace

Evaluate evaluation_of(const TrainOptions& options,
                       const OpenedCheckpoint& opened,
                       const train::Trainer& trainer,
                       const Watch& watch) {
    if (options.evaluate_every == 0) {
        return {};
    }
    const runtime::Network& network = trainer.network();
    if (network.spec().vocabulary_size == train::synthetic::words().size()) {
        return [&options, &network](std::uint64_t /*steps_done*/) {
            return ask_synthetic(options, network);
        };
    }
    const fs::path folder = opened.checkpoint.folder();
    if (!fs::exists(folder / "tokenizer.json") && !fs::exists(folder / "vocab.json")) {
        throw Error(ErrorKind::unsupported,
                    format("--eval-every asks in words; {} has no tokenizer.json",
                           in_quotes(folder.string(), 1000)));
    }
    return [&options, &opened, &trainer, &watch](std::uint64_t steps_done) {
        return ask_as_verbs_do(options, opened, trainer, steps_done, watch);
    };
}

}  // namespace anamnesis::app
