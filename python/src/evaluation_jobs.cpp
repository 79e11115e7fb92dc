// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/shard.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/grade_job.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/lengths.hpp"
#include "anamnesis/eval/niah_job.hpp"
#include "anamnesis/eval/prompts_job.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/eval/transport_trial.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/chat_variables.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "job.hpp"
#include "jobs.hpp"
#include "to_python.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

namespace fs = std::filesystem;
using OptionalPath = std::optional<fs::path>;

nb::object grade(const fs::path& in,
                 const fs::path& out,
                 const OptionalPath& data,
                 const std::optional<std::string>& task,
                 unsigned threads,
                 const nb::object& progress) {
    eval::GradeJob job{.in = in,
                       .out = out,
                       .data = data.value_or(fs::path()),
                       .task = std::nullopt,
                       .threads = count_threads(threads)};
    if (task) {
        job.task = parse_word(eval::reasoning_task_words, *task, "task");
    }
    return run_json_job(progress, [&](const Watch& watch) {
        return eval::to_json(job, eval::grade_answers(job, watch));
    });
}

/// How a server is asked for its answers.
struct Server {
    eval::EndpointOptions endpoint{};
    eval::TransportChoice transport = eval::TransportChoice::automatic;
    bool is_chat = false;
    Json variables{};
};

Server make_server(const std::string& url,
                   const std::string& api_key,
                   const std::string& transport,
                   std::uint32_t concurrency,
                   std::uint32_t timeout,
                   std::uint32_t retries,
                   bool plain_openai,
                   bool insecure) {
    if (concurrency == 0 || timeout == 0) {
        throw Error(ErrorKind::usage, "concurrency and timeout must be at least 1");
    }
    // What may throw comes first, not inside a braced list: g++ 12 destroys its members twice then.
    Server server;
    server.transport = parse_word(eval::transport_choice_words, transport, "transport");
    server.endpoint.url = url;
    server.endpoint.api_key = api_key;
    server.endpoint.concurrency = concurrency;
    server.endpoint.read_timeout = std::chrono::seconds(timeout);
    server.endpoint.retries = retries;
    server.endpoint.sends_extensions = !plain_openai;
    server.endpoint.is_insecure = insecure;
    return server;
}

void set_chat(Server& server,
              const std::optional<bool>& thinking,
              const std::vector<std::string>& variables) {
    server.is_chat = true;
    server.variables = language::parse_chat_variables(variables);
    if (thinking) {
        server.variables.set("enable_thinking", *thinking);
    }
}

/// What is asked of the models.
struct Recall {
    eval::HaystackPlan haystack{};
    fs::path prompts{};
    std::size_t max_tokens = 0;  ///< 0: those kept free for the answer
    bool gives_prefix = true;
    bool asks_logprob = true;
};

Recall make_recall(const std::vector<std::string>& tasks,
                   const std::vector<std::string>& lengths,
                   std::uint64_t samples,
                   std::uint64_t seed,
                   const OptionalPath& essays,
                   const std::string& wrapper,
                   std::uint32_t depths,
                   std::uint64_t tokens_to_generate,
                   const OptionalPath& prompts) {
    if (samples == 0 || tokens_to_generate == 0 || depths == 1 || depths > 1001) {
        throw Error(ErrorKind::usage,
                    "samples and tokens_to_generate must be at least 1, depths 0 or 2 to 1001");
    }
    const std::vector<std::size_t> parsed = eval::parse_lengths(lengths);
    const eval::HaystackPlan plan{.tasks = tasks,
                                  .lengths = parsed,
                                  .samples = samples,
                                  .seed = seed,
                                  .essays = essays.value_or(fs::path()).string(),
                                  .wrapper = wrapper,
                                  .tokens_to_generate = tokens_to_generate,
                                  .depths = depths};
    Recall recall;
    recall.haystack = eval::complete_haystack_plan(plan, prompts.has_value());
    recall.prompts = prompts.value_or(fs::path());
    return recall;
}

/// Tells progress of the scores as they come: a phase for each model.
class ScoreProgress final : public eval::Scoreboard {
public:
    explicit ScoreProgress(Progress& progress) : progress_(progress) {}

    void begin(const std::string& model, std::size_t total) override {
        progress_.begin(model, total, ProgressUnit::samples);
    }
    void add(const std::string& /*row*/,
             const std::string& /*column*/,
             double /*score*/,
             bool /*is_new*/) override {
        progress_.advance(1);
    }
    void finish() override { progress_.finish(); }

private:
    Progress& progress_;
};

eval::Engine open_engine(const eval::AskedModel& model,
                         const Server& server,
                         const language::Tokenizer& tokenizer,
                         const fs::path& folder,
                         const eval::EngineOpening& opening) {
    eval::EndpointOptions endpoint = server.endpoint;
    endpoint.model = model.place;
    endpoint.form.variables = server.variables;
    if (server.is_chat && server.transport != eval::TransportChoice::chat) {
        endpoint.form.chat = language::ChatTemplate::open(folder.string());
    }
    return eval::open_server(std::move(endpoint), server.transport, &tokenizer, opening);
}

nb::object ask_server(const std::vector<std::string>& models,
                      const Server& server,
                      const Recall& recall,
                      const fs::path& tokenizer_folder,
                      const fs::path& out,
                      const std::string& shard,
                      bool twice,
                      bool check_engine,
                      const nb::object& progress) {
    return run_json_job(progress, [&](const Watch& watch) {
        const auto tokenizer = language::Tokenizer::open(tokenizer_folder);
        ScoreProgress scores(watch.progress());
        const auto asked = eval::parse_asked_models(models, eval::PlaceKind::served);
        const Shard taken = shard.empty() ? Shard{} : Shard::parse(shard);
        const Json chat =
            server.is_chat && !server.variables.is_null() ? server.variables : Json(server.is_chat);
        const auto report = eval::run_niah(
            {.asking = {.models = asked,
                        .open =
                            [&](const eval::AskedModel& model, const eval::EngineOpening& opening) {
                                return open_engine(
                                    model, server, tokenizer, tokenizer_folder, opening);
                            },
                        .are_served = true,
                        .tokenizer = &tokenizer,
                        .compares_tokenizers = false,
                        .out = out,
                        .shard = taken,
                        .asks_twice = twice,
                        .checks_engines = check_engine},
             .haystack = recall.haystack,
             .prompts = recall.prompts,
             .max_new_tokens =
                 recall.max_tokens != 0 ? recall.max_tokens : recall.haystack.tokens_to_generate,
             .gives_prefix = recall.gives_prefix,
             .asks_logprob = recall.asks_logprob,
             .chat = chat},
            scores,
            watch);
        return report.page.empty() ? Json() : Json::parse(report.json);
    });
}

void write_prompts(const Recall& recall,
                   const fs::path& tokenizer,
                   const fs::path& out,
                   const nb::object& progress) {
    run_job(progress, [&](const Watch& watch) {
        static_cast<void>(
            eval::write_prompts({.haystack = recall.haystack, .out = out, .tokenizer = tokenizer},
                                language::Tokenizer::open(tokenizer),
                                watch));
    });
}

void declare_server(nb::module_& module) {
    nb::class_<Server>(module, "Server", "An OpenAI-compatible server.")
        .def("set_chat", &set_chat, nb::arg("thinking").none(), nb::arg("variables"));
    module.def("make_server",
               &make_server,
               nb::arg("url"),
               nb::arg("api_key"),
               nb::arg("transport"),
               nb::arg("concurrency"),
               nb::arg("timeout"),
               nb::arg("retries"),
               nb::arg("plain_openai"),
               nb::arg("insecure"));
}

}  // namespace

void declare_evaluation_jobs(nb::module_& module) {
    module.def("grade",
               &grade,
               nb::arg("source"),
               nb::arg("out"),
               nb::arg("data").none(),
               nb::arg("task").none(),
               nb::arg("threads"),
               nb::arg("progress").none());
    declare_server(module);
    nb::class_<Recall>(module, "Recall", "Needles in haystacks, and how they are asked for.")
        .def_rw("max_tokens", &Recall::max_tokens)
        .def_rw("gives_prefix", &Recall::gives_prefix)
        .def_rw("asks_logprob", &Recall::asks_logprob);
    module.def("make_recall",
               &make_recall,
               nb::arg("tasks"),
               nb::arg("lengths"),
               nb::arg("samples"),
               nb::arg("seed"),
               nb::arg("essays").none(),
               nb::arg("wrapper"),
               nb::arg("depths"),
               nb::arg("tokens_to_generate"),
               nb::arg("prompts").none());
    module.def("write_prompts",
               &write_prompts,
               nb::arg("recall"),
               nb::arg("tokenizer"),
               nb::arg("out"),
               nb::arg("progress").none());
    module.def("ask_server",
               &ask_server,
               nb::arg("models"),
               nb::arg("server"),
               nb::arg("recall"),
               nb::arg("tokenizer"),
               nb::arg("out"),
               nb::arg("shard"),
               nb::arg("twice"),
               nb::arg("check_engine"),
               nb::arg("progress").none());
}

}  // namespace anamnesis::python
