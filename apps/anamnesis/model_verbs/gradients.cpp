// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/embedding_correlation.hpp"
#include "anamnesis/analysis/examples.hpp"
#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
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

#include "model_verbs/gradient_findings.hpp"
#include "model_verbs/open_model.hpp"
#include "model_verbs/row_gradients.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

/// Where a loss reaches: gradients of attention logits by distance.
struct GradientsOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::string rows{};
    std::string data{};
    std::string compare{};
    std::string out{};
    std::uint32_t max_tokens = 8192;
    std::uint32_t samples = 0;  ///< 0: all
    bool all_text = false;
    bool no_bands = false;
    std::uint32_t resamples = 1000;
    std::uint64_t seed = 0;
};

void declare_loss(CLI::App& app, GradientsOptions& options) {
    OptionGroup loss(app, "What the loss is on (--data or --rows)");
    auto* data = loss.option(
        "--data", options.data, "JSON lines with messages, prompt and response, or text.");
    loss.option("--rows",
                options.rows,
                "A .safetensors file with input_ids and labels [B, T]; -100 is unsupervised. The "
                "loss is the mean over all rows.")
        ->excludes(data);
    loss.option("--compare", options.compare, "With --data: a second data set beside it.");
    loss.option("--max-tokens", options.max_tokens, "Cut longer examples.")
        ->check(CLI::Range(2U, 1U << 24U));
    loss.option("--samples",
                options.samples,
                "Take the first examples alone; all where it is not given.")
        ->default_str("");
    loss.flag("--all-text",
              options.all_text,
              "The loss is on every token; without it, on responses alone.");
}

void declare(CLI::App& app, GradientsOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--model", options.checkpoint, "The checkpoint folder.")->required();
    required
        .option("--out", options.out, "The folder of the results; an unfinished run goes on there.")
        ->required();
    declare_loss(app, options);
    OptionGroup figures(app, "Figures");
    figures.flag("--no-bands",
                 options.no_bands,
                 "Leave out the gradients of W_Q, W_K, W_V and W_O by distance band.");
    figures.option("--resamples", options.resamples, "Resamples of the bootstrap.")
        ->check(CLI::Range(100U, 1'000'000U));
    figures.option("--seed", options.seed, "The seed of the bootstrap.");
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

/// Examples of one file, or the rows of a batch.
struct DataSet {
    std::string name;
    std::vector<analysis::Example> examples;
    double weight = 0.0;  ///< of a prediction; 0: the mean of its own example
};

std::string digest_of(const std::string& path) {
    return sha256_of(io::read_text(path, 8ULL << 30U));
}

class GradientRun {
public:
    GradientRun(const GradientsOptions& options, Terminal& terminal, const Watch& watch)
        : options_(options),
          terminal_(terminal),
          stop_(watch.stop()),
          data_(read_data()),
          network_(
              open_network(options.checkpoint, options.model, options.reading, options.common)),
          folder_(eval::RunFolder::open(options.out, settings(), {})) {}

    int run() {
        for (const Json& line : folder_.results().lines()) {
            done_.emplace(line.at("checkpoint").as_string("'checkpoint'"),
                          line.at("id").as_string("'id'"));
        }
        folder_.describe("model",
                         Json::Object{{"path", options_.checkpoint},
                                      {"digest", eval::sampled_digest(options_.checkpoint)}});
        for (const DataSet& set : data_) {
            measure(set);
        }
        const GradientFindings findings = read_findings();
        write_reports(findings, options_.out);
        if (options_.common.json) {
            Json json = to_json(findings);
            if (!options_.rows.empty()) {
                json.set("layers", rows_.to_json());
            }
            terminal_.result(json.dump(2) + "\n");
        }
        terminal_.say(to_text(findings) + format("report: {}/report.html", options_.out));
        return 0;
    }

private:
    std::vector<DataSet> read_data() const {
        if (!options_.rows.empty()) {
            if (!options_.compare.empty()) {
                throw Error(ErrorKind::usage, "--compare belongs to --data");
            }
            return {rows_as_data()};
        }
        std::vector<DataSet> data;
        const std::string folder =
            options_.model.tokenizer.empty() ? options_.checkpoint : options_.model.tokenizer;
        const auto tokenizer = language::Tokenizer::open(folder);
        for (const std::string& path : {options_.data, options_.compare}) {
            if (path.empty()) {
                continue;
            }
            std::string name = std::filesystem::path(path).stem().string();
            if (!data.empty() && data.front().name == name) {
                name += " (compared)";
            }
            data.push_back({.name = std::move(name),
                            .examples = analysis::read_examples(
                                path,
                                tokenizer,
                                [&] { return language::ChatTemplate::open(folder); },
                                {.most_tokens = options_.max_tokens,
                                 .most_examples = options_.samples,
                                 .supervises_prompts = options_.all_text})});
            refuse_repeated_ids(data.back(), path);
        }
        return data;
    }

    /// The rows of a batch share one mean.
    DataSet rows_as_data() const {
        DataSet set{.name = std::filesystem::path(options_.rows).stem().string(), .examples = {}};
        std::size_t predictions = 0;
        for (analysis::LabelledText& row : analysis::read_labelled_rows(options_.rows)) {
            predictions += analysis::prediction_count(row);
            set.examples.push_back(
                {.id = format("{}", set.examples.size()), .text = std::move(row)});
        }
        if (predictions == 0) {
            throw Error(ErrorKind::mismatch,
                        format("{}: every label behind the first is {}, so there is no loss",
                               in_quotes(options_.rows),
                               analysis::unsupervised));
        }
        set.weight = 1.0 / static_cast<double>(predictions);
        return set;
    }

    static void refuse_repeated_ids(const DataSet& set, const std::string& path) {
        std::set<std::string> ids;
        for (const analysis::Example& example : set.examples) {
            if (!ids.insert(example.id).second) {
                throw Error(
                    ErrorKind::malformed,
                    format(
                        "{}: two examples have the id {}", in_quotes(path), in_quotes(example.id)));
            }
        }
    }

    Json settings() const {
        Json files = Json::object();
        for (const std::string& path : {options_.rows, options_.data, options_.compare}) {
            if (!path.empty()) {
                files.set(path, digest_of(path));
            }
        }
        return Json::Object{
            {"kind", "gradients"},
            {"data_sha256", std::move(files)},
            {"dtype", options_.model.dtype.empty() ? "as stored" : options_.model.dtype},
            {"max_tokens", options_.max_tokens},
            {"samples", options_.samples},
            {"loss",
             !options_.rows.empty() ? "the labels of the rows, their mean over the batch"
             : options_.all_text    ? "every token, the mean of each example"
                                    : "responses, the mean of each example"},
            {"bands", !options_.no_bands},
            {"attn_logits_scaling", options_.model.attn_logits_scaling}};
    }

    void measure(const DataSet& set) {
        const analysis::EmbeddingCorrelation correlation(network_, texts_of(set));
        ProgressBar bar(options_.common.quiet);
        bar.begin(format("gradients of {}", set.name), tokens_of(set), ProgressUnit::tokens);
        for (const analysis::Example& example : set.examples) {
            // The sums by distance of a batch of rows are not in the folder: they are made anew.
            if (!options_.rows.empty() || !done_.contains({set.name, example.id})) {
                refuse_to_go_on_after_a_signal();
                measure(set, example, correlation);
            }
            bar.advance(example.text.ids.size());
        }
        bar.finish();
    }

    void measure(const DataSet& set,
                 const analysis::Example& example,
                 const analysis::EmbeddingCorrelation& correlation) {
        // A row without a prediction has no part in the loss: its gradients are zero.
        if (analysis::prediction_count(example.text) == 0) {
            rows_.add_without_loss(example.text);
            return;
        }
        const analysis::LogitGradients gradients =
            in_context([&] { return format("example {} of {}", example.id, set.name); },
                       [&] {
                           return analysis::logit_gradients(
                               network_,
                               example.text,
                               {.weight = set.weight,
                                .bands = options_.no_bands ? std::vector<analysis::DistanceBand>()
                                                           : distance_bands()});
                       });
        if (!options_.rows.empty()) {
            rows_.add(gradients);
        }
        if (done_.contains({set.name, example.id})) {
            return;
        }
        analysis::ExampleRecord record = analysis::record_of(example.id, example.text, gradients);
        const std::size_t length = example.text.ids.size();
        const auto bins = analysis::distance_bins(length);
        record.correlation_sums = analysis::binned(correlation.sums(example.text.ids), bins);
        std::vector<double> pairs;
        for (std::size_t tau = 0; tau < length; ++tau) {
            pairs.push_back(static_cast<double>(length - tau));
        }
        record.correlation_pairs = analysis::binned(pairs, bins);
        Json line = analysis::to_json(record);
        line.set("checkpoint", set.name);
        folder_.results().append(line);
    }

    void refuse_to_go_on_after_a_signal() const {
        if (stop_.stop_requested()) {
            throw Error(ErrorKind::cancelled,
                        format("interrupted; what was measured is in {}, and the same command "
                               "goes on from there",
                               in_quotes(options_.out)));
        }
    }

    static std::vector<analysis::LabelledText> texts_of(const DataSet& set) {
        std::vector<analysis::LabelledText> texts;
        for (const analysis::Example& example : set.examples) {
            texts.push_back(example.text);
        }
        return texts;
    }

    static std::size_t tokens_of(const DataSet& set) {
        std::size_t tokens = 0;
        for (const analysis::Example& example : set.examples) {
            tokens += example.text.ids.size();
        }
        return tokens;
    }

    GradientFindings read_findings() const {
        const eval::RunRecord run = eval::read_run(options_.out);
        std::map<std::string, std::vector<analysis::ExampleRecord>> records;
        for (const Json& line : run.results) {
            records[line.at("checkpoint").as_string("'checkpoint'")].push_back(
                analysis::read_example_record(line));
        }
        GradientFindings findings{
            .model = options_.checkpoint, .settings = run.settings, .data = {}};
        for (const DataSet& set : data_) {
            findings.data.push_back(
                {.name = set.name,
                 .locality = analysis::summarise(
                     records[set.name], {.seed = options_.seed, .resamples = options_.resamples})});
        }
        return findings;
    }

    const GradientsOptions& options_;
    Terminal& terminal_;
    std::stop_token stop_;
    std::vector<DataSet> data_;
    runtime::Network network_;
    eval::RunFolder folder_;
    std::set<std::pair<std::string, std::string>> done_;
    RowGradients rows_;
};

int run(const GradientsOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.data.empty() && options.rows.empty()) {
        throw Error(ErrorKind::usage, "there is nothing to measure: give --data or --rows");
    }
    return GradientRun(options, terminal, watch).run();
}

}  // namespace

Action add_gradients(CLI::App& app) {
    return make_action<GradientsOptions>(app, declare, run);
}

}  // namespace anamnesis::app
