// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/network.hpp"

#include "evaluation/asked_models.hpp"
#include "interrupt.hpp"
#include "model_verbs/attention_findings.hpp"
#include "model_verbs/model_verbs.hpp"
#include "model_verbs/needle_texts.hpp"
#include "model_verbs/open_model.hpp"
#include "open_checkpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

/// The models of a command line by name; reading their names is the evaluations' business.
std::vector<AskedModel> models_of(const AttentionOptions& options) {
    AskingOptions asking;
    asking.models = options.models;
    return asked_models(asking);
}

std::vector<std::size_t> distances_of(const AttentionOptions& options) {
    std::set<std::size_t> distances(options.beyond.begin(), options.beyond.end());
    if (distances.empty()) {
        distances = {1024, 4096, 16384};
    }
    return {distances.begin(), distances.end()};
}

class AttentionRun {
public:
    AttentionRun(const AttentionOptions& options, Terminal& terminal)
        : options_(options),
          terminal_(terminal),
          stop_(stop_on_signal()),
          models_(models_of(options)),
          tokenizer_(language::Tokenizer::open(
              options.model.tokenizer.empty() ? models_.front().place : options.model.tokenizer)),
          texts_(needle_texts(options, tokenizer_)),
          beyond_(distances_of(options)),
          folder_(eval::RunFolder::open(options.out, settings(), {})) {}

    int run() {
        std::set<std::pair<std::string, std::string>> done;
        for (const Json& line : folder_.results().lines()) {
            done.emplace(line.at("checkpoint").as_string("'checkpoint'"),
                         line.at("id").as_string("'id'"));
        }
        std::vector<std::string> names;
        for (const AskedModel& model : models_) {
            names.push_back(model.name);
            folder_.describe(
                model.name,
                Json::Object{{"path", model.place}, {"digest", sampled_digest(model.place)}});
            const bool is_done = std::ranges::all_of(texts_, [&](const NeedleText& text) {
                return done.contains({model.name, text.id});
            });
            if (!is_done) {
                look_into(model, done);
            }
        }
        const AttentionFindings findings = fold(eval::read_run(options_.out), names);
        write_reports(findings, options_.out);
        tell(findings);
        return 0;
    }

private:
    Json settings() const {
        Json beyond = Json::array();
        for (const std::size_t distance : beyond_) {
            beyond.push_back(std::uint64_t{distance});
        }
        Sha256 digest;
        for (const NeedleText& text : texts_) {
            digest.update(std::as_bytes(std::span(text.prompt)));
            digest.update(std::as_bytes(std::span(text.answer)));
        }
        return Json::Object{
            {"kind", "attention"},
            {"source", options_.niah ? "needle prompts made here" : options_.prompts},
            {"texts", std::uint64_t{texts_.size()}},
            {"tokens_sha256", digest.finish()},
            {"beyond", std::move(beyond)},
            {"answers", options_.own_answers ? "own" : "true"},
            {"dtype", options_.model.dtype.empty() ? "as stored" : options_.model.dtype},
            {"attn_logits_scaling", options_.model.attn_logits_scaling}};
    }

    void look_into(const AskedModel& model,
                   const std::set<std::pair<std::string, std::string>>& done) {
        const runtime::Network network =
            open_network(model.place, options_.model, options_.reading, options_.common);
        const std::vector<std::int64_t> ends = ends_of(model);
        ProgressBar bar(options_.common.quiet);
        std::size_t tokens = 0;
        for (const NeedleText& text : texts_) {
            tokens += text.prompt.size();
        }
        bar.begin(format("attention of {}", model.name), tokens, ProgressUnit::tokens);
        for (const NeedleText& text : texts_) {
            if (!done.contains({model.name, text.id})) {
                refuse_to_go_on_after_a_signal();
                folder_.results().append(
                    to_json(in_context([&] { return format("text {} in {}", text.id, model.name); },
                                       [&] { return look_at(network, model.name, text, ends); })));
            }
            bar.advance(text.prompt.size());
        }
        bar.finish();
    }

    std::vector<std::int64_t> ends_of(const AskedModel& model) const {
        const OpenedCheckpoint files =
            open_checkpoint(model.place, options_.reading, checkpoint::Missing::refuse);
        const auto tokens =
            language::end_of_text_tokens(files.checkpoint.folder(), files.checkpoint.config());
        return {tokens.begin(), tokens.end()};
    }

    AttentionRecord look_at(const runtime::Network& network,
                            const std::string& name,
                            const NeedleText& text,
                            const std::vector<std::int64_t>& ends) const {
        AttentionRecord record{.checkpoint = name, .id = text.id, .layers = {}};
        record.has_needle = text.needle.has_value();
        std::vector<std::int64_t> answer = text.answer;
        if (record.has_needle && options_.own_answers) {
            answer = analysis::continuation(
                network, text.prompt, options_.haystack.tokens_to_generate, ends);
            const std::vector<language::TokenId> tokens(answer.begin(), answer.end());
            record.is_answered = tokenizer_.decode(tokens).find(text.value) != std::string::npos;
        }
        std::vector<std::int64_t> ids = text.prompt;
        ids.insert(ids.end(), answer.begin(), answer.end());
        // The last prompt token produces the answer's first, its last token nothing more; of an
        // empty answer there is still the query that ended it.
        const analysis::TokenSpan queries{
            .first = text.prompt.size() - 1,
            .end = text.prompt.size() - 1 + std::max<std::size_t>(answer.size(), 1)};
        record.layers = analysis::attention_statistics(
            network, ids, {.beyond = beyond_, .needle = text.needle, .answer_queries = queries});
        return record;
    }

    void refuse_to_go_on_after_a_signal() const {
        if (stop_.stop_requested()) {
            throw Error(ErrorKind::cancelled,
                        format("interrupted; what was measured is in {}, and the same command "
                               "goes on from there",
                               in_quotes(options_.out)));
        }
    }

    void tell(const AttentionFindings& findings) const {
        Json json = to_json(findings);
        std::string chosen;
        if (!options_.select_layers.empty()) {
            const std::size_t count = options_.select_count != 0
                                          ? options_.select_count
                                          : std::max<std::size_t>(1, findings.layers.size() / 4);
            const std::vector<std::uint32_t> layers = retrieval_layers(findings, count);
            chosen = compact_list(layers);
            const auto path = std::filesystem::path(options_.out) / "layers.txt";
            io::write_text_atomically(path, chosen + "\n");
            json.set("selected_layers", chosen);
            chosen = format(
                "layers {} in {}; restore with --layers {}\n", chosen, path.string(), chosen);
        }
        if (options_.common.json) {
            terminal_.result(json.dump(2) + "\n");
        }
        terminal_.say(to_text(findings) + chosen + format("report: {}/report.html", options_.out));
    }

    const AttentionOptions& options_;
    Terminal& terminal_;
    std::stop_token stop_;
    std::vector<AskedModel> models_;
    language::Tokenizer tokenizer_;
    std::vector<NeedleText> texts_;
    std::vector<std::size_t> beyond_;
    eval::RunFolder folder_;
};

}  // namespace

int run(const AttentionOptions& options, Terminal& terminal) {
    if (options.select_count != 0 && options.select_layers.empty()) {
        throw Error(ErrorKind::usage, "--select-count belongs to --select-layers");
    }
    return AttentionRun(options, terminal).run();
}

}  // namespace anamnesis::app
