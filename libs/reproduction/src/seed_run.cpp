// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/seed_run.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/reproduction/calibration_samples.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/variant.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"

#include "training.hpp"

namespace anamnesis::reproduction {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// A folder of results as JSON files: what is there is read, what is not is made and kept, with
/// the seconds that it took.
class Results {
public:
    explicit Results(fs::path folder) : folder_(std::move(folder)) {
        fs::create_directories(folder_);
    }

    Json get(const std::string& name, const std::function<Json()>& make) {
        const fs::path path = folder_ / (name + ".json");
        if (!fs::exists(path)) {
            const Clock::time_point start = Clock::now();
            Json value = make();
            const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
            io::write_text_atomically(
                path,
                Json(Json::Object{{"seconds", seconds}, {"value", std::move(value)}}).dump(1) +
                    "\n");
        }
        const Json kept = in_context([&] { return format("reading {}", path.string()); },
                                     [&] { return Json::parse(io::read_text(path)); });
        seconds_ += kept.at("seconds").as_double("seconds");
        return kept.at("value");
    }

    double seconds() const { return seconds_; }

private:
    fs::path folder_;
    double seconds_ = 0.0;
};

void check_stop(const Watch& watch) {
    throw_if_stopped(watch,
                     [] { return std::string("interrupted; run the same command to resume"); });
}

void repair_variant(const Repair& repair,
                    std::uint64_t seed,
                    const fs::path& folder,
                    unsigned threads,
                    const Watch& watch) {
    if (fs::exists(folder)) {
        return;
    }
    const checkpoint::RecognisedCheckpoint pre =
        checkpoint::open_recognised(folder.parent_path() / repair.pre);
    const checkpoint::RecognisedCheckpoint post =
        checkpoint::open_recognised(folder.parent_path() / repair.post);
    restore::Plan plan = restore::make_plan(pre, post, repair.request);
    if (repair.request.selection.method == restore::Method::fit) {
        calibration::CalibrationJob job = make_calibration_job(seed);
        job.running.threads = threads;
        calibration::calibrate(plan, job, watch.without_progress());
    }
    restore::write_folders(plan,
                           {folder},
                           {.is_synced = false},
                           {.threads = threads, .watch = watch.without_progress()});
}

Json make_variant(const Variant& variant,
                  std::uint64_t seed,
                  const fs::path& folder,
                  unsigned threads,
                  const Watch& watch) {
    if (variant.training) {
        train_variant(*variant.training, seed, folder, threads, watch);
    }
    if (variant.repair) {
        repair_variant(*variant.repair, seed, folder, threads, watch);
    }
    return variant.description;
}

Json measure_variant(const Recipe& recipe,
                     std::uint64_t seed,
                     const fs::path& folder,
                     const Watch& watch) {
    const Questions questions{.lengths = recipe.lengths,
                              .recall_samples = recipe.recall_samples,
                              .reasoning_samples = recipe.reasoning_samples,
                              .seed = recipe.evaluation_seed};
    watch.progress().begin(format("seed {}: asking {}", seed, folder.filename().string()),
                           count_parts(questions),
                           ProgressUnit::steps);
    const Measurement measurement = runtime::convert_torch_errors(
        [&] { return measure(load_network(folder), questions, watch); });
    watch.progress().finish();
    return to_json(measurement);
}

Json measure_drift(const fs::path& pre,
                   const fs::path& post,
                   unsigned threads,
                   const Watch& watch) {
    const checkpoint::RecognisedCheckpoint before = checkpoint::open_recognised(pre);
    const checkpoint::RecognisedCheckpoint after = checkpoint::open_recognised(post);
    const restore::CheckpointDrift drift =
        restore::measure_drift(before,
                               after,
                               restore::Selection{},
                               {.threads = threads, .watch = watch.without_progress()});
    Json parts = Json::object();
    for (const std::string& part : drift.parts()) {
        parts.set(part, drift.of({}, part).relative());
    }
    return parts;
}

std::vector<DriftRow> drift_rows(const Json& parts) {
    std::vector<DriftRow> rows;
    for (const auto& [part, relative] : parts.as_object("drift")) {
        rows.push_back({.part = part, .relative = relative.as_double(part)});
    }
    return rows;
}

using MakeSample = std::function<language::SupervisedText(Random&)>;

/// Predictions of running text are left out: they are one twentieth of a loss in training.
analysis::LabelledText supervised_text(const language::SupervisedText& sample) {
    analysis::LabelledText text{.ids = sample.ids, .labels = sample.labels};
    for (std::size_t i = 0; i < text.labels.size(); ++i) {
        if (sample.weights[i] != 1.0F) {
            text.labels[i] = analysis::unsupervised;
        }
    }
    return text;
}

Json measure_gradients(const Recipe& recipe,
                       const fs::path& checkpoint,
                       const MakeSample& make,
                       const Watch& watch) {
    return runtime::convert_torch_errors([&] {
        const runtime::Network network = load_network(checkpoint);
        Random random(recipe.evaluation_seed);
        Json records = Json::array();
        for (std::size_t i = 0; i < recipe.gradient_examples; ++i) {
            check_stop(watch);
            const analysis::LabelledText text = supervised_text(make(random));
            records.push_back(analysis::to_json(analysis::to_record(
                format("{}", i), text, analysis::logit_gradients(network, text))));
        }
        return records;
    });
}

std::vector<analysis::ExampleRecord> read_records(const Json& json) {
    std::vector<analysis::ExampleRecord> records;
    for (const Json& record : json.as_array("records")) {
        records.push_back(analysis::read_example_record(record));
    }
    return records;
}

/// The recipe that a folder was made by; another one is refused.
void check_recipe(const Recipe& recipe, const fs::path& folder) {
    const std::string text = to_json(recipe).dump(2) + "\n";
    const fs::path path = folder / "recipe.json";
    if (!fs::exists(path)) {
        fs::create_directories(folder);
        io::write_text_atomically(path, text);
    } else if (io::read_text(path) != text) {
        throw Error(ErrorKind::usage,
                    format("{} was made by another recipe; choose another folder",
                           in_quotes(folder.string(), 1000)));
    }
}

}  // namespace

runtime::Network load_network(const fs::path& folder) {
    const checkpoint::RecognisedCheckpoint source = checkpoint::open_recognised(folder);
    return runtime::Network::load(source.checkpoint,
                                  runtime::describe(source.checkpoint, source.model),
                                  {.weight_type = at::kFloat});
}

SeedFindings run_seed(const Recipe& recipe,
                      std::uint64_t seed,
                      const fs::path& folder,
                      unsigned threads,
                      const Watch& watch) {
    check_recipe(recipe, folder);
    runtime::use_threads(threads);
    Results results(folder / "results");
    SeedFindings findings{.seed = seed};
    for (const Variant& variant : make_variants(recipe)) {
        check_stop(watch);
        const fs::path place = folder / variant.name;
        results.get("made-" + variant.name,
                    [&] { return make_variant(variant, seed, place, threads, watch); });
        findings.measurements.emplace(variant.name,
                                      read_measurement(results.get("recall-" + variant.name, [&] {
                                          return measure_variant(recipe, seed, place, watch);
                                      })));
    }
    const auto drift_between = [&](const std::string& pre, const std::string& post) {
        return drift_rows(results.get("drift-" + post, [&] {
            return measure_drift(folder / pre, folder / post, threads, watch);
        }));
    };
    findings.drift = drift_between("pre", "post");
    if (!recipe.twin.is_null()) {
        findings.twin_drift = drift_between("softmax-pre", "softmax-post");
    }
    Random probe(0);
    const std::size_t length = train::synthetic::chain_of_thought(probe).ids.size();
    const auto gradients_on = [&](const std::string& data, const MakeSample& make) {
        return read_records(results.get("gradients-" + data, [&] {
            return measure_gradients(recipe, folder / "pre", make, watch);
        }));
    };
    findings.cot_gradients = gradients_on(
        "cot", [](Random& random) { return train::synthetic::chain_of_thought(random); });
    findings.retrieval_gradients = gradients_on("retrieval", [&](Random& random) {
        return train::synthetic::retrieval(
            random, {.needle = train::synthetic::Needle::s2, .length = length});
    });
    findings.seconds = results.seconds();
    return findings;
}

}  // namespace anamnesis::reproduction
