// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grade_job.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/grading/lm_eval_rules.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/line_reader.hpp"
#include "anamnesis/io/output_checks.hpp"

#include "problem_fields.hpp"

namespace anamnesis::eval {
namespace {

using grading::Grade;
using grading::LmEvalVerdicts;
using grading::Reason;

/// Lines that are held at once; longer responses make a batch end earlier.
constexpr std::size_t batch_lines = 1'024;
constexpr std::size_t batch_bytes = 64U << 20U;

struct GivenAnswer {
    std::string id;
    ReasoningTask task = ReasoningTask::custom;
    std::string gold;
    std::string response;
    bool is_cut = false;
    std::optional<Json> sample;  ///< carried to the output, where a line has one
};

/// The gold answer that an id came with first.
struct GoldOfId {
    std::string gold;
    std::size_t line = 0;
};

/// Ids of different tasks are different problems.
std::string name_problem(ReasoningTask task, const std::string& id) {
    return std::string(to_string(task)) + "\n" + id;
}

struct Graded {
    Grade grade;
    LmEvalVerdicts lm_eval;
};

using Golds = std::unordered_map<std::string, Problem>;

Golds read_golds(const GradeJob& job) {
    Golds golds;
    if (job.data.empty()) {
        return golds;
    }
    for (Problem& problem : read_problems(job.data, job.task)) {
        std::string id = problem.id;
        golds.emplace(std::move(id), std::move(problem));
    }
    return golds;
}

/// The text of a field; empty where the line has none or null.
std::optional<std::string> find_text(const Json& line,
                                     std::string_view field,
                                     const io::JsonLineReader& reader) {
    const Json* value = line.find(field);
    if (value == nullptr || value->is_null()) {
        return std::nullopt;
    }
    if (value->is_string()) {
        return value->as_string(field);
    }
    if (value->is_number()) {
        // Beyond this the reader of JSON has rounded it.
        constexpr double largest_exact = 9'007'199'254'740'992.0;
        const std::string text = value->dump();
        const bool is_whole = text.find_first_not_of("-0123456789") == std::string::npos;
        if (!is_whole && std::abs(value->as_double(field)) >= largest_exact) {
            throw Error(ErrorKind::malformed,
                        format("field '{}' in {} is a number of more digits than JSON's readers "
                               "keep; write it in quotes",
                               field,
                               reader.place()));
        }
        return text;
    }
    throw Error(ErrorKind::malformed,
                format("field '{}' in {} is not text", field, reader.place()));
}

class AnswerReader {
public:
    AnswerReader(const GradeJob& job, const Golds& golds)
        : reader_(job.in), job_(job), golds_(golds) {}

    /// The next answers, fewer than a batch at the end only.
    std::vector<GivenAnswer> next_batch() {
        std::vector<GivenAnswer> batch;
        std::size_t bytes = 0;
        Json line;
        while (batch.size() < batch_lines && bytes < batch_bytes && reader_.next(line)) {
            if (is_lm_eval_sample(line)) {
                read_samples(line, batch, bytes);
                continue;
            }
            batch.push_back(read(line));
            bytes += batch.back().response.size();
        }
        return batch;
    }

private:
    GivenAnswer read_problem(const Json& line) {
        const auto id = find_identifier(line, reader_);
        if (!id) {
            throw Error(ErrorKind::malformed,
                        format("{} has no 'id' that is text or an integer", reader_.place()));
        }
        GivenAnswer answer;
        answer.id = *id;
        const auto problem = golds_.find(answer.id);
        answer.gold = find_gold_answer(line, answer.id, problem);
        answer.task = find_task(line, problem);
        refuse_second_gold(answer);
        return answer;
    }

    /// Lines of one id are samples of one problem, so that they cannot have two gold answers.
    void refuse_second_gold(const GivenAnswer& answer) {
        const auto [first, is_new] =
            golds_of_ids_.try_emplace(name_problem(answer.task, answer.id),
                                      GoldOfId{.gold = answer.gold, .line = reader_.number()});
        if (!is_new && first->second.gold != answer.gold) {
            throw Error(ErrorKind::malformed,
                        format("{} has the id {} of line {} and another gold answer, {} instead of "
                               "{}: lines with one id are samples of one problem",
                               reader_.place(),
                               in_quotes(answer.id),
                               first->second.line,
                               in_quotes(answer.gold, 60),
                               in_quotes(first->second.gold, 60)));
        }
    }

    GivenAnswer read(const Json& line) {
        GivenAnswer answer = read_problem(line);
        if (line.find("response") == nullptr) {
            throw Error(ErrorKind::malformed,
                        format("{} has no field 'response'", reader_.place()));
        }
        // A null is an answer that never came.
        answer.response = find_text(line, "response", reader_).value_or("");
        answer.is_cut = find_text(line, "finish_reason", reader_) == "length";
        if (const Json* sample = line.find("sample")) {
            answer.sample = *sample;
        }
        return answer;
    }

    /// A line of lm-eval's samples holds one response, or several of one problem.
    void read_samples(const Json& line, std::vector<GivenAnswer>& batch, std::size_t& bytes) {
        if (!is_first_filter(line, filter_)) {
            return;
        }
        const GivenAnswer problem = read_problem(line);
        const std::vector<std::string> responses = read_lm_eval_responses(line, reader_);
        for (std::size_t i = 0; i < responses.size(); ++i) {
            batch.push_back(problem);
            batch.back().response = responses[i];
            if (responses.size() > 1) {
                batch.back().sample = Json(std::uint64_t{i});
            }
            bytes += responses[i].size();
        }
    }

    std::string find_gold_answer(const Json& line,
                                 const std::string& id,
                                 Golds::const_iterator problem) const {
        if (auto gold = find_text(line, "gold", reader_)) {
            return std::move(*gold);
        }
        if (problem != golds_.end()) {
            return problem->second.gold;
        }
        if (auto answer = find_gold(line)) {
            return std::move(*answer);
        }
        throw Error(ErrorKind::mismatch,
                    golds_.empty()
                        ? format("{} has no field 'gold'; give --data with the gold answers by id",
                                 reader_.place())
                        : format("{} has no field 'gold', and {} no problem with the id {}",
                                 reader_.place(),
                                 in_quotes(job_.data.string()),
                                 in_quotes(id)));
    }

    ReasoningTask find_task(const Json& line, Golds::const_iterator problem) const {
        if (const auto task = find_text(line, "task", reader_)) {
            return in_context([this] { return format("reading {}", reader_.place()); },
                              [&task] { return parse_reasoning_task(*task); });
        }
        if (job_.task) {
            return *job_.task;
        }
        return problem != golds_.end() ? problem->second.task
                                       : recognise_task(problem_fields(line));
    }

    io::JsonLineReader reader_;
    const GradeJob& job_;
    const Golds& golds_;
    std::optional<std::string> filter_;  ///< of lm-eval's samples
    std::unordered_map<std::string, GoldOfId> golds_of_ids_;
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

Json make_line(const GivenAnswer& answer, const Graded& graded) {
    Json line(Json::Object{{"id", answer.id}});
    if (answer.sample) {
        line.set("sample", *answer.sample);
    }
    line.set("task", to_string(answer.task));
    line.set("correct", graded.grade.is_correct);
    line.set("extracted", graded.grade.extracted);
    line.set("reason", to_string(graded.grade.reason));
    line.set("lm_eval", lm_eval_json(graded.lm_eval));
    return line;
}

Graded grade(const GivenAnswer& answer) {
    return {.grade = grading::grade_response(
                answer.task, answer.gold, answer.response, grading::response_end(answer.is_cut)),
            .lm_eval = grading::lm_eval_verdicts(answer.task, answer.gold, answer.response)};
}

}  // namespace

void GradeSummary::add(const std::string& id, ReasoningTask task, const Grade& grade) {
    ++answers_;
    correct_ += grade.is_correct ? 1U : 0U;
    ++reasons_[grade.reason];
    ProblemCounts& problem = problems_[name_problem(task, id)];
    ++problem.samples;
    problem.correct += grade.is_correct ? 1U : 0U;
}

std::vector<ProblemCounts> GradeSummary::counts() const {
    std::vector<ProblemCounts> counts;
    for (const auto& [id, problem] : problems_) {
        counts.push_back(problem);
    }
    return counts;
}

ClusteredMean GradeSummary::average() const {
    return average_at_k(counts());
}

std::uint64_t GradeSummary::count(Reason reason) const {
    const auto found = reasons_.find(reason);
    return found == reasons_.end() ? 0 : found->second;
}

Interval GradeSummary::interval() const {
    return share_interval(counts());
}

Json to_json(const GradeSummary& summary) {
    const Interval interval = summary.interval();
    Json result(Json::Object{
        {"answers", summary.answers()},
        {"problems", summary.problems()},
        {"correct", summary.correct()},
        {"share", summary.average().mean},
        {"interval", Json(Json::Array{interval.low, interval.high})},
        {"interval_kind", summary.has_samples() ? "Wilson, clustered by problem" : "Wilson"}});
    Json reasons = Json::object();
    for (const auto& [reason, count] : summary.reasons()) {
        reasons.set(to_string(reason), count);
    }
    result.set("reasons", std::move(reasons));
    return result;
}

Json to_json(const GradeJob& job, const GradeSummary& summary) {
    Json json = Json::Object{{"in", job.in.string()}, {"out", job.out.string()}};
    const Json figures = to_json(summary);
    for (const auto& [key, value] : figures.as_object("figures")) {
        json.set(key, value);
    }
    return json;
}

std::string to_text(const GradeSummary& summary) {
    const Interval interval = summary.interval();
    std::string result = format(
        "{} answers to {} problems: {} correct, {:.1f} % "
        "(95 % interval {:.1f} to {:.1f})\n",
        with_separators(summary.answers()),
        with_separators(summary.problems()),
        with_separators(summary.correct()),
        100 * summary.average().mean,
        100 * interval.low,
        100 * interval.high);
    result += format("extracted nothing: {}, unfinished: {}, undecided: {}\n",
                     summary.count(Reason::no_answer),
                     summary.count(Reason::unfinished),
                     summary.count(Reason::undecided));
    return result;
}

GradeSummary grade_answers(const GradeJob& job, const Watch& watch) {
    io::refuse_to_replace_input("--out", job.out, {job.in, job.data});
    const Golds golds = read_golds(job);
    AnswerReader reader(job, golds);
    io::AtomicFile out{job.out};
    std::uint64_t offset = 0;
    GradeSummary summary;
    for (auto batch = reader.next_batch(); !batch.empty(); batch = reader.next_batch()) {
        throw_if_stopped(watch, [] { return "interrupted; nothing was written"; });
        std::vector<Graded> graded(batch.size());
        parallel_for(
            batch.size(), job.threads, [&](std::size_t i) { graded[i] = grade(batch[i]); });
        std::string lines;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            lines += make_line(batch[i], graded[i]).dump() + "\n";
            summary.add(batch[i].id, batch[i].task, graded[i].grade);
        }
        out.file().write_at(offset, std::as_bytes(std::span(lines)));
        offset += lines.size();
    }
    if (summary.answers() == 0) {
        throw Error(ErrorKind::malformed, format("{} holds no answer", in_quotes(job.in.string())));
    }
    out.commit();
    return summary;
}

}  // namespace anamnesis::eval
