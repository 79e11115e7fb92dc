// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/train_evaluation.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/trainer.hpp"

#include "evaluation/evaluation.hpp"
#include "model_verbs/open_model.hpp"
#include "open_checkpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"

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

AskingOptions asking_of(const TrainOptions& options, const fs::path& out) {
    AskingOptions asking;
    asking.models = {"trained=" + (fs::path(options.out) / "evaluation" / "checkpoint").string()};
    asking.how.dtype = options.dtype;
    asking.how.device = options.device;
    asking.reading = options.reading;
    asking.chat = options.chat;
    asking.out = out.string();
    return asking;
}

Json summary_of(const fs::path& out) {
    return Json::parse(io::read_text(out / "summary.json"));
}

Json ask_needles(const TrainOptions& options, const CommonOptions& common, const fs::path& out) {
    NiahOptions niah{.common = common, .asking = asking_of(options, out)};
    for (const std::uint64_t length : options.evaluated_lengths) {
        niah.haystack.lengths.push_back(format("{}", length));
    }
    niah.haystack.samples = options.evaluated_samples;
    Terminal nobody(true);
    run(niah, nobody, open_model);
    Json figures = Json::object();
    const Json summary = summary_of(out);
    for (const Json& cell : summary.at("cells").as_array("cells")) {
        const std::string& task = cell.at("task").as_string("task");
        const Json* known = figures.find(task);
        Json lengths = known == nullptr ? Json::object() : *known;
        lengths.set(cell.at("length").dump(), cell.at("score"));
        figures.set(task, std::move(lengths));
    }
    return figures;
}

Json ask_problems(const TrainOptions& options, const CommonOptions& common, const fs::path& out) {
    ReasonOptions reason{.common = common, .asking = asking_of(options, out)};
    reason.task = options.evaluated_task;
    reason.data = options.evaluated_data;
    reason.limit = options.evaluated_samples;
    reason.plain = !options.chat;
    Terminal nobody(true);
    run(reason, nobody, open_model);
    const Json summary = summary_of(out);
    return summary.at("cells").as_array("cells").front().at("average").as_double("average") * 100.0;
}

Json ask_as_verbs_do(const TrainOptions& options,
                     const OpenedCheckpoint& opened,
                     const train::Trainer& trainer,
                     std::uint64_t steps_done) {
    const fs::path place = fs::path(options.out) / "evaluation";
    fs::create_directories(place / "checkpoint");
    train::write_checkpoint(opened.checkpoint, trainer.weights(), place / "checkpoint");
    const CommonOptions common{.quiet = true, .threads = options.common.threads};
    Json figures = ask_needles(options, common, place / format("niah-{}", steps_done));
    if (!options.evaluated_task.empty()) {
        figures.set(options.evaluated_task,
                    ask_problems(options, common, place / format("reason-{}", steps_done)));
    }
    return figures;
}

}  // namespace

Evaluate evaluation_of(const TrainOptions& options,
                       const OpenedCheckpoint& opened,
                       const train::Trainer& trainer) {
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
    return [&options, &opened, &trainer](std::uint64_t steps_done) {
        return ask_as_verbs_do(options, opened, trainer, steps_done);
    };
}

}  // namespace anamnesis::app
