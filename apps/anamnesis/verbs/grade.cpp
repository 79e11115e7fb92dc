// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/grade.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/grading/lm_eval_rules.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/line_reader.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/io/atomic_file.hpp"

#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {
namespace {

using eval::ReasoningTask;
using eval::grading::Grade;
using eval::grading::LmEvalVerdicts;
using eval::grading::Reason;

/// Lines that are held at once; longer responses make a batch end earlier.
constexpr std::size_t batch_lines = 1'024;
constexpr std::size_t batch_bytes = 64U << 20U;

struct Answer {
    std::string id;
    ReasoningTask task = ReasoningTask::custom;
    std::string gold;
    std::string response;
    std::optional<Json> sample;  ///< carried to the output, where a line has one
};

struct Graded {
    Grade grade;
    LmEvalVerdicts lm_eval;
};

using Golds = std::unordered_map<std::string, eval::Problem>;

Golds read_golds(const GradeOptions& options) {
    Golds golds;
    if (options.data.empty()) {
        return golds;
    }
    const auto task =
        options.task.empty() ? std::nullopt : std::optional(eval::reasoning_task_of(options.task));
    for (eval::Problem& problem : eval::read_problems(options.data, task)) {
        std::string id = problem.id;
        golds.emplace(std::move(id), std::move(problem));
    }
    return golds;
}

/// The text of a field; empty where the line has none or null.
std::optional<std::string> text_of(const Json& line,
                                   std::string_view field,
                                   const eval::JsonLineReader& reader) {
    const Json* value = line.find(field);
    if (value == nullptr || value->is_null()) {
        return std::nullopt;
    }
    if (value->is_string()) {
        return value->as_string(field);
    }
    if (value->is_number()) {
        return value->dump();
    }
    throw Error(ErrorKind::malformed, format("field '{}' in {} is no text", field, reader.place()));
}

class AnswerReader {
public:
    AnswerReader(const GradeOptions& options, const Golds& golds)
        : reader_(options.in), options_(options), golds_(golds) {}

    /// The next answers, fewer than a batch at the end only.
    std::vector<Answer> next_batch() {
        std::vector<Answer> batch;
        std::size_t bytes = 0;
        Json line;
        while (batch.size() < batch_lines && bytes < batch_bytes && reader_.next(line)) {
            batch.push_back(read(line));
            bytes += batch.back().response.size();
        }
        return batch;
    }

private:
    Answer read(const Json& line) const {
        Answer answer;
        const Json* id = line.find("id");
        const auto id_text = id == nullptr ? std::nullopt : eval::identifier_of(*id);
        if (!id_text) {
            throw Error(ErrorKind::malformed,
                        format("{} has no 'id' that is text or an integer", reader_.place()));
        }
        answer.id = *id_text;
        const auto problem = golds_.find(answer.id);
        answer.gold = gold_of(line, answer.id, problem);
        answer.task = task_of(line, problem);
        if (line.find("response") == nullptr) {
            throw Error(ErrorKind::malformed,
                        format("{} has no field 'response'", reader_.place()));
        }
        // A null is an answer that never came.
        answer.response = text_of(line, "response", reader_).value_or("");
        if (const Json* sample = line.find("sample")) {
            answer.sample = *sample;
        }
        return answer;
    }

    std::string gold_of(const Json& line,
                        const std::string& id,
                        Golds::const_iterator problem) const {
        if (auto gold = text_of(line, "gold", reader_)) {
            return std::move(*gold);
        }
        if (problem != golds_.end()) {
            return problem->second.gold;
        }
        throw Error(ErrorKind::mismatch,
                    golds_.empty()
                        ? format("{} has no field 'gold'; give --data with the gold answers by id",
                                 reader_.place())
                        : format("{} has no field 'gold', and {} no problem with the id {}",
                                 reader_.place(),
                                 in_quotes(options_.data),
                                 in_quotes(id)));
    }

    ReasoningTask task_of(const Json& line, Golds::const_iterator problem) const {
        if (const auto task = text_of(line, "task", reader_)) {
            return in_context([this] { return format("while reading {}", reader_.place()); },
                              [&task] { return eval::reasoning_task_of(*task); });
        }
        if (!options_.task.empty()) {
            return eval::reasoning_task_of(options_.task);
        }
        return problem != golds_.end() ? problem->second.task : ReasoningTask::custom;
    }

    eval::JsonLineReader reader_;
    const GradeOptions& options_;
    const Golds& golds_;
};

Json lm_eval_json(const LmEvalVerdicts& verdicts) {
    Json json(Json::Object{{"hendrycks", verdicts.hendrycks},
                           {"aime", verdicts.aime},
                           {"minerva_text", verdicts.minerva_text}});
    const std::array<std::pair<const char*, std::optional<bool>>, 3> school{
        {{"gsm8k_strict", verdicts.gsm8k_strict},
         {"gsm8k_flexible", verdicts.gsm8k_flexible},
         {"gsm8k_cot_strict", verdicts.gsm8k_cot_strict}}};
    for (const auto& [name, verdict] : school) {
        if (verdict) {
            json.set(name, *verdict);
        }
    }
    return json;
}

Json line_of(const Answer& answer, const Graded& graded) {
    Json line(Json::Object{{"id", answer.id}});
    if (answer.sample) {
        line.set("sample", *answer.sample);
    }
    line.set("task", name_of(answer.task));
    line.set("correct", graded.grade.is_correct);
    line.set("extracted", graded.grade.extracted);
    line.set("reason", name_of(graded.grade.reason));
    line.set("lm_eval", lm_eval_json(graded.lm_eval));
    return line;
}

/// What all answers come to.
class Summary {
public:
    void add(const Answer& answer, const Graded& graded) {
        ++answers_;
        correct_ += graded.grade.is_correct ? 1U : 0U;
        ++reasons_[graded.grade.reason];
        eval::ProblemCounts& problem =
            problems_[std::string(name_of(answer.task)) + "\n" + answer.id];
        ++problem.samples;
        problem.correct += graded.grade.is_correct ? 1U : 0U;
    }

    /// Samples of one problem hang together: with several of them the problems are the clusters.
    bool has_samples() const { return problems_.size() < answers_; }

    eval::ClusteredMean average() const {
        std::vector<eval::ProblemCounts> counts;
        for (const auto& [id, problem] : problems_) {
            counts.push_back(problem);
        }
        return eval::average_at_k(counts);
    }

    Json json(const GradeOptions& options) const {
        Json result(Json::Object{{"in", options.in},
                                 {"out", options.out},
                                 {"answers", answers_},
                                 {"problems", std::uint64_t{problems_.size()}},
                                 {"correct", correct_}});
        const eval::Interval interval = interval_of_share();
        result.set("share", average().mean);
        result.set("interval", Json(Json::Array{interval.low, interval.high}));
        result.set("interval_kind", has_samples() ? "clustered by problem, Student" : "Wilson");
        Json reasons = Json::object();
        for (const auto& [reason, count] : reasons_) {
            reasons.set(name_of(reason), count);
        }
        result.set("reasons", std::move(reasons));
        return result;
    }

    std::string text() const {
        const eval::Interval interval = interval_of_share();
        std::string result = format(
            "{} answers to {} problems: {} correct, {:.1f} % "
            "(95 % interval {:.1f} to {:.1f})\n",
            with_separators(answers_),
            with_separators(problems_.size()),
            with_separators(correct_),
            100 * average().mean,
            100 * std::max(0.0, interval.low),
            100 * std::min(1.0, interval.high));
        result += format("extracted nothing: {}, unfinished: {}, undecided: {}\n",
                         count_of(Reason::no_answer),
                         count_of(Reason::unfinished),
                         count_of(Reason::undecided));
        return result;
    }

private:
    std::uint64_t count_of(Reason reason) const {
        const auto found = reasons_.find(reason);
        return found == reasons_.end() ? 0 : found->second;
    }

    eval::Interval interval_of_share() const {
        return has_samples() ? average().student : eval::wilson_interval(correct_, answers_);
    }

    std::uint64_t answers_ = 0;
    std::uint64_t correct_ = 0;
    std::map<Reason, std::uint64_t> reasons_;
    std::map<std::string, eval::ProblemCounts> problems_;
};

Graded grade(const Answer& answer) {
    return {.grade = eval::grading::grade_response(answer.task, answer.gold, answer.response),
            .lm_eval = eval::grading::lm_eval_verdicts(answer.task, answer.gold, answer.response)};
}

void refuse_same_file(const GradeOptions& options) {
    std::error_code ignored;
    for (const std::string& input : {options.in, options.data}) {
        if (!input.empty() && std::filesystem::equivalent(input, options.out, ignored)) {
            throw Error(ErrorKind::usage,
                        format("--out {} is an input of this command", in_quotes(options.out)));
        }
    }
}

}  // namespace

int run(const GradeOptions& options, Terminal& terminal) {
    refuse_same_file(options);
    const Golds golds = read_golds(options);
    AnswerReader reader(options, golds);
    io::AtomicFile out{options.out};
    std::uint64_t offset = 0;
    Summary summary;
    const unsigned threads =
        options.common.threads == 0 ? available_threads() : options.common.threads;
    bool is_empty = true;
    for (auto batch = reader.next_batch(); !batch.empty(); batch = reader.next_batch()) {
        is_empty = false;
        std::vector<Graded> graded(batch.size());
        parallel_for(batch.size(), threads, [&](std::size_t i) { graded[i] = grade(batch[i]); });
        std::string lines;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            lines += line_of(batch[i], graded[i]).dump() + "\n";
            summary.add(batch[i], graded[i]);
        }
        out.file().write_at(offset, std::as_bytes(std::span(lines)));
        offset += lines.size();
    }
    if (is_empty) {
        throw Error(ErrorKind::malformed, format("{} holds no answer", in_quotes(options.in)));
    }
    out.commit();
    if (options.common.json) {
        terminal.result(summary.json(options).dump(2) + "\n");
    } else if (!terminal.is_quiet()) {
        terminal.result(summary.text());
    }
    return 0;
}

}  // namespace anamnesis::app
