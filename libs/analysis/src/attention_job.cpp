// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/attention_job.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/analysis/attention_findings.hpp"
#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/analysis/model_loading.hpp"
#include "anamnesis/analysis/needle_texts.hpp"
#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/runtime/running.hpp"

namespace anamnesis::analysis {
namespace {

/// The distances that are told, ascending.
std::vector<std::size_t> sort_distances(const AttentionJob& job) {
    std::set<std::size_t> distances(job.beyond.begin(), job.beyond.end());
    if (distances.empty()) {
        distances = {1024, 4096, 16384};
    }
    return {distances.begin(), distances.end()};
}

class AttentionRun {
public:
    AttentionRun(const AttentionJob& job, const Watch& watch)
        : job_(job),
          watch_(watch),
          tokenizer_(language::Tokenizer::open(
              job.loading.running.tokenizer.value_or(job.checkpoints.front().place))),
          texts_(job.needles ? make_needle_texts(*job.needles, tokenizer_)
                             : read_needle_texts(job.prompts, tokenizer_)),
          beyond_(sort_distances(job)),
          folder_(eval::RunFolder::open(job.out, make_settings(), {})) {}

    AttentionResult look_at_all() {
        for (const Json& line : folder_.results().lines()) {
            done_.emplace(line.at("checkpoint").as_string("'checkpoint'"),
                          line.at("id").as_string("'id'"));
        }
        std::vector<std::string> names;
        for (const eval::AskedModel& checkpoint : job_.checkpoints) {
            names.push_back(checkpoint.name);
            folder_.describe(checkpoint.name, eval::describe_files(checkpoint));
            const bool is_done = std::ranges::all_of(texts_, [&](const NeedleText& text) {
                return done_.contains({checkpoint.name, text.id});
            });
            if (!is_done) {
                look_into(checkpoint);
            }
        }
        AttentionResult result{.findings = fold_records(eval::read_run(job_.out), names)};
        write_reports(result.findings, job_.out);
        if (job_.chosen_layers) {
            result.chosen_layers = write_chosen_layers(result.findings);
        }
        return result;
    }

private:
    Json make_settings() const {
        Json beyond = Json::array();
        for (const std::size_t distance : beyond_) {
            beyond.push_back(std::uint64_t{distance});
        }
        Sha256 digest;
        for (const NeedleText& text : texts_) {
            digest.update(std::as_bytes(std::span(text.prompt)));
            digest.update(std::as_bytes(std::span(text.answer)));
        }
        Json settings =
            Json::Object{{"kind", "attention"},
                         {"source", job_.needles ? "needle prompts made here" : job_.prompts},
                         {"texts", std::uint64_t{texts_.size()}},
                         {"tokens_sha256", digest.finish()},
                         {"beyond", std::move(beyond)},
                         {"answers", job_.own_answer_tokens ? "own" : "true"}};
        if (job_.own_answer_tokens) {
            settings.set("own_answer_tokens", std::uint64_t{*job_.own_answer_tokens});
        }
        runtime::describe_running(job_.loading.running, settings);
        return settings;
    }

    void look_into(const eval::AskedModel& checkpoint) {
        const runtime::Network network = load_network(checkpoint, job_.loading);
        const std::vector<std::int64_t> ends = find_ends(checkpoint);
        std::size_t tokens = 0;
        for (const NeedleText& text : texts_) {
            tokens += text.prompt.size();
        }
        watch_.progress().begin(
            format("attention of {}", checkpoint.name), tokens, ProgressUnit::tokens);
        for (const NeedleText& text : texts_) {
            if (!done_.contains({checkpoint.name, text.id})) {
                throw_if_stopped(watch_, [&] {
                    return format(
                        "interrupted; what was measured is in {}; run the same command "
                        "to resume",
                        in_quotes(job_.out.string()));
                });
                folder_.results().append(to_json(in_context(
                    [&] { return format("reading text {} in {}", text.id, checkpoint.name); },
                    [&] { return look_at(network, checkpoint.name, text, ends); })));
            }
            watch_.progress().advance(text.prompt.size());
        }
        watch_.progress().finish();
    }

    /// The tokens that end an answer.
    std::vector<std::int64_t> find_ends(const eval::AskedModel& checkpoint) const {
        const checkpoint::Checkpoint files = job_.loading.open(checkpoint).checkpoint;
        const auto tokens = language::end_of_text_tokens(files.folder(), files.config());
        return {tokens.begin(), tokens.end()};
    }

    AttentionRecord look_at(const runtime::Network& network,
                            const std::string& name,
                            const NeedleText& text,
                            const std::vector<std::int64_t>& ends) const {
        AttentionRecord record{.checkpoint = name, .id = text.id, .layers = {}};
        record.has_needle = text.needle.has_value();
        std::vector<std::int64_t> answer = text.answer;
        if (record.has_needle && job_.own_answer_tokens) {
            answer = continuation(network, text.prompt, *job_.own_answer_tokens, ends);
            const std::vector<language::TokenId> tokens(answer.begin(), answer.end());
            record.is_answered = tokenizer_.decode(tokens).find(text.value) != std::string::npos;
        }
        std::vector<std::int64_t> ids = text.prompt;
        ids.insert(ids.end(), answer.begin(), answer.end());
        // The last prompt token produces the answer's first, its last token nothing more; of an
        // empty answer there is still the query that ended it.
        const TokenSpan queries{
            .first = text.prompt.size() - 1,
            .end = text.prompt.size() - 1 + std::max<std::size_t>(answer.size(), 1)};
        record.layers = attention_statistics(
            network, ids, {.beyond = beyond_, .needle = text.needle, .answer_queries = queries});
        return record;
    }

    std::vector<std::uint32_t> write_chosen_layers(const AttentionFindings& findings) const {
        const std::size_t count = *job_.chosen_layers != 0
                                      ? *job_.chosen_layers
                                      : std::max<std::size_t>(1, findings.layers.size() / 4);
        std::vector<std::uint32_t> layers = choose_retrieval_layers(findings, count);
        io::write_text_atomically(job_.out / "layers.txt", compact_list(layers) + "\n");
        return layers;
    }

    const AttentionJob& job_;
    const Watch& watch_;
    language::Tokenizer tokenizer_;
    std::vector<NeedleText> texts_;
    std::vector<std::size_t> beyond_;
    eval::RunFolder folder_;
    std::set<std::pair<std::string, std::string>> done_;
};

}  // namespace

AttentionResult run_attention(const AttentionJob& job, const Watch& watch) {
    return AttentionRun(job, watch).look_at_all();
}

}  // namespace anamnesis::analysis
