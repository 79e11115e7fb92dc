// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/gradients_job.hpp"

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/embedding_correlation.hpp"
#include "anamnesis/analysis/examples.hpp"
#include "anamnesis/analysis/gradient_findings.hpp"
#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/analysis/row_gradients.hpp"
#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/running.hpp"

namespace anamnesis::analysis {
namespace {

/// Examples of one file, or the rows of a batch.
struct DataSet {
    std::string name;
    std::vector<Example> examples;
    double weight = 0.0;  ///< of a prediction; 0: the mean of its own example
};

/// The rows of a batch share one mean.
DataSet read_rows(const std::string& path) {
    DataSet set{.name = std::filesystem::path(path).stem().string(), .examples = {}};
    std::size_t predictions = 0;
    for (LabelledText& row : read_labelled_rows(path)) {
        predictions += prediction_count(row);
        set.examples.push_back({.id = format("{}", set.examples.size()), .text = std::move(row)});
    }
    if (predictions == 0) {
        throw Error(ErrorKind::mismatch,
                    format("{}: every label after the first is {}, so there is no loss",
                           in_quotes(path),
                           unsupervised));
    }
    set.weight = 1.0 / static_cast<double>(predictions);
    return set;
}

void refuse_repeated_ids(const DataSet& set, const std::string& path) {
    std::set<std::string> ids;
    for (const Example& example : set.examples) {
        if (!ids.insert(example.id).second) {
            throw Error(
                ErrorKind::malformed,
                format("{}: two examples have the id {}", in_quotes(path), in_quotes(example.id)));
        }
    }
}

std::vector<DataSet> read_data(const GradientsJob& job) {
    if (!job.rows.empty()) {
        if (!job.compare.empty()) {
            throw Error(ErrorKind::usage, "--compare belongs to --data");
        }
        return {read_rows(job.rows)};
    }
    std::vector<DataSet> data;
    const std::filesystem::path folder = job.loading.running.tokenizer.value_or(job.model.place);
    const auto tokenizer = language::Tokenizer::open(folder);
    for (const std::string& path : {job.data, job.compare}) {
        if (path.empty()) {
            continue;
        }
        std::string name = std::filesystem::path(path).stem().string();
        if (!data.empty() && data.front().name == name) {
            name += " (compared)";
        }
        data.push_back(
            {.name = std::move(name),
             .examples = read_examples(path,
                                       tokenizer,
                                       [&] { return language::ChatTemplate::open(folder); },
                                       {.most_tokens = job.most_tokens,
                                        .most_examples = job.most_examples,
                                        .supervises_prompts = job.supervises_prompts})});
        refuse_repeated_ids(data.back(), path);
    }
    return data;
}

Json make_settings(const GradientsJob& job) {
    Json files = Json::object();
    for (const std::string& path : {job.rows, job.data, job.compare}) {
        if (!path.empty()) {
            files.set(path, compute_sha256(io::read_text(path, 8ULL << 30U)));
        }
    }
    Json loading = Json::object();
    runtime::describe_running(job.loading.running, loading);
    return Json::Object{{"kind", "gradients"},
                        {"data_sha256", std::move(files)},
                        {"dtype", loading.at("dtype")},
                        {"max_tokens", job.most_tokens},
                        {"samples", job.most_examples},
                        {"loss",
                         !job.rows.empty() ? "the labels of the rows, their mean over the batch"
                         : job.supervises_prompts ? "every token, the mean of each example"
                                                  : "responses, the mean of each example"},
                        {"bands", job.measures_bands},
                        {"attn_logits_scaling", loading.at("attn_logits_scaling")}};
}

std::vector<LabelledText> copy_texts(const DataSet& set) {
    std::vector<LabelledText> texts;
    for (const Example& example : set.examples) {
        texts.push_back(example.text);
    }
    return texts;
}

std::size_t count_tokens(const DataSet& set) {
    std::size_t tokens = 0;
    for (const Example& example : set.examples) {
        tokens += example.text.ids.size();
    }
    return tokens;
}

ExampleRecord make_record(const Example& example,
                          const LogitGradients& gradients,
                          const EmbeddingCorrelation& correlation) {
    ExampleRecord record = to_record(example.id, example.text, gradients);
    const std::size_t length = example.text.ids.size();
    const auto bins = distance_bins(length);
    record.correlation_sums = binned(correlation.sums(example.text.ids), bins);
    std::vector<double> pairs;
    for (std::size_t tau = 0; tau < length; ++tau) {
        pairs.push_back(static_cast<double>(length - tau));
    }
    record.correlation_pairs = binned(pairs, bins);
    return record;
}

class GradientsRun {
public:
    GradientsRun(const GradientsJob& job, const Watch& watch)
        : job_(job),
          watch_(watch),
          data_(read_data(job)),
          network_(load_network(job.model, job.loading)),
          folder_(eval::RunFolder::open(job.out, make_settings(job), {})) {}

    GradientsResult measure_all() {
        for (const Json& line : folder_.results().lines()) {
            done_.emplace(line.at("checkpoint").as_string("'checkpoint'"),
                          line.at("id").as_string("'id'"));
        }
        folder_.describe("model", eval::describe_files(job_.model));
        for (const DataSet& set : data_) {
            measure(set);
        }
        GradientsResult result{.findings = read_findings()};
        write_reports(result.findings, job_.out);
        if (!job_.rows.empty()) {
            result.rows = rows_.to_json();
        }
        return result;
    }

private:
    bool is_done(const DataSet& set, const Example& example) const {
        return done_.contains({set.name, example.id});
    }

    void measure(const DataSet& set) {
        const EmbeddingCorrelation correlation(network_, copy_texts(set));
        watch_.progress().begin(
            format("gradients of {}", set.name), count_tokens(set), ProgressUnit::tokens);
        for (const Example& example : set.examples) {
            // The sums by distance of a batch of rows are not in the folder: they are made anew.
            if (!job_.rows.empty() || !is_done(set, example)) {
                throw_if_stopped(watch_, [&] {
                    return format(
                        "interrupted; what was measured is in {}; run the same command "
                        "to resume",
                        in_quotes(job_.out.string()));
                });
                measure(set, example, correlation);
            }
            watch_.progress().advance(example.text.ids.size());
        }
        watch_.progress().finish();
    }

    void measure(const DataSet& set,
                 const Example& example,
                 const EmbeddingCorrelation& correlation) {
        // A row without a prediction has no part in the loss: its gradients are zero.
        if (prediction_count(example.text) == 0) {
            rows_.add_without_loss(example.text);
            return;
        }
        const LogitGradients gradients =
            in_context([&] { return format("measuring example {} of {}", example.id, set.name); },
                       [&] {
                           return logit_gradients(
                               network_,
                               example.text,
                               {.weight = set.weight,
                                .bands = job_.measures_bands ? distance_bands()
                                                             : std::vector<DistanceBand>()});
                       });
        if (!job_.rows.empty()) {
            rows_.add(gradients);
        }
        if (!is_done(set, example)) {
            Json line = to_json(make_record(example, gradients, correlation));
            line.set("checkpoint", set.name);
            folder_.results().append(line);
        }
    }

    GradientFindings read_findings() const {
        const eval::RunRecord run = eval::read_run(job_.out);
        std::map<std::string, std::vector<ExampleRecord>> records;
        for (const Json& line : run.results) {
            records[line.at("checkpoint").as_string("'checkpoint'")].push_back(
                read_example_record(line));
        }
        GradientFindings findings{.model = job_.model.place, .settings = run.settings, .data = {}};
        for (const DataSet& set : data_) {
            const std::vector<ExampleRecord>& of_set = records[set.name];
            Locality locality = summarise(of_set, {.seed = job_.seed, .resamples = job_.resamples});
            if (!job_.rows.empty()) {
                locality.loss *= static_cast<double>(of_set.size());
            }
            findings.data.push_back({.name = set.name, .locality = std::move(locality)});
        }
        return findings;
    }

    const GradientsJob& job_;
    const Watch& watch_;
    std::vector<DataSet> data_;
    runtime::Network network_;
    eval::RunFolder folder_;
    std::set<std::pair<std::string, std::string>> done_;
    RowGradients rows_;
};

}  // namespace

GradientsResult run_gradients(const GradientsJob& job, const Watch& watch) {
    return GradientsRun(job, watch).measure_all();
}

}  // namespace anamnesis::analysis
