// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/run_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shard.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/json_lines.hpp"
#include "anamnesis/io/output_checks.hpp"
#include "anamnesis/io/run_settings.hpp"

namespace anamnesis::eval {
namespace {

namespace fs = std::filesystem;

std::string make_suffix(const Shard& shard) {
    return shard.count == 1 ? std::string() : "-" + shard.to_name();
}

std::vector<fs::path> list_files(const fs::path& folder,
                                 std::string_view beginning,
                                 std::string_view ending) {
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        const bool is_whole = name == std::string(beginning) + std::string(ending);
        const bool is_shard = name.starts_with(std::string(beginning) + "-") &&
                              name.ends_with(ending) && name.find("-of-") != std::string::npos;
        if (is_whole || is_shard) {
            files.push_back(entry.path());
        }
    }
    std::ranges::sort(files);
    return files;
}

fs::path find_results(const fs::path& record) {
    std::string name = record.filename().string();
    name = "results" + name.substr(std::string_view("run").size());
    return record.parent_path() / fs::path(name).replace_extension(".jsonl");
}

/// One name stands for one checkpoint in a folder, in all its parts.
/// Errors: `mismatch`.
void expect_same_checkpoint(const std::string& name, const Json& before, const Json& now) {
    const Json* one = before.find("digest");
    const Json* other = now.find("digest");
    if (one != nullptr && other != nullptr && one->dump() != other->dump()) {
        throw Error(ErrorKind::mismatch,
                    format("the name {} stands for another checkpoint in this folder; give "
                           "--model NAME=PATH with another name, or another --out",
                           in_quotes(name)));
    }
}

/// A folder without results may be a checkpoint's, or have the record of a training run, which has
/// the same name, or what another command reports (`demo`, `reproduce`).
/// Errors: `usage`.
void refuse_folder_of_others(const fs::path& folder) {
    if (!list_files(folder, "results", ".jsonl").empty()) {
        return;
    }
    io::refuse_checkpoint_folder(folder);
    const std::vector<fs::path> records = list_files(folder, "run", ".json");
    for (const char* report : {"report.html", "summary.json"}) {
        if (records.empty() && fs::exists(folder / report)) {
            throw Error(ErrorKind::usage,
                        format("{} is the report of another command and would be written over; "
                               "give another --out",
                               in_quotes((folder / report).string(), 1000)));
        }
    }
    for (const fs::path& record : records) {
        const Json found = in_context([&] { return format("reading {}", record.string()); },
                                      [&] { return Json::parse(io::read_text(record)); });
        if (found.find("checkpoints") == nullptr) {
            throw Error(ErrorKind::usage,
                        format("{} is the record of another run and would be written over; give "
                               "another --out",
                               in_quotes(record.string(), 1000)));
        }
    }
}

/// Whether the results beside a record hold an answer.
bool has_results(const fs::path& record) {
    std::error_code error;
    return fs::file_size(find_results(record), error) > 0 && !error;
}

}  // namespace

RunFolder::RunFolder(fs::path record_path,
                     Json record,
                     io::JsonLines results,
                     std::vector<Json> other_lines)
    : record_path_(std::move(record_path)),
      record_(std::move(record)),
      results_(std::move(results)),
      other_lines_(std::move(other_lines)) {}

RunFolder RunFolder::open(const fs::path& folder, const Json& settings, Shard shard) {
    refuse_folder_of_others(folder);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        throw io_error(format("making the folder {}", in_quotes(folder.string())), error.value());
    }
    // The lock on the results comes first: it guards the record too.
    const std::string suffix = make_suffix(shard);
    io::JsonLines results = io::JsonLines::open(folder / format("results{}.jsonl", suffix));
    fs::path path = folder / format("run{}.json", suffix);
    // A run that ended before its first answer leaves its folder to any other.
    for (const fs::path& record : list_files(folder, "run", ".json")) {
        if (has_results(record)) {
            io::expect_same_run(
                folder, Json::parse(io::read_text(record)).at("settings"), settings);
        }
    }
    const bool goes_on = !results.lines().empty() && fs::exists(path);
    Json record = goes_on
                      ? Json::parse(io::read_text(path))
                      : Json(Json::Object{{"settings", settings}, {"checkpoints", Json::object()}});
    io::write_text_atomically(path, record.dump(2) + "\n");
    std::vector<Json> other_lines;
    for (const fs::path& part : list_files(folder, "results", ".jsonl")) {
        if (part != find_results(path)) {
            std::ranges::move(io::read_json_lines(part), std::back_inserter(other_lines));
        }
    }
    return {std::move(path), std::move(record), std::move(results), std::move(other_lines)};
}

void RunFolder::discard_unanswered() noexcept {
    if (!has_results(record_path_)) {
        std::error_code ignored;
        fs::remove(find_results(record_path_), ignored);
        fs::remove(record_path_, ignored);
        fs::remove(record_path_.parent_path(), ignored);  // unless something is in it
    }
}

void RunFolder::expect_same(const std::string& checkpoint, const Json& what) const {
    for (const fs::path& record : list_files(record_path_.parent_path(), "run", ".json")) {
        if (record != record_path_ && !has_results(record)) {
            continue;
        }
        const Json known = Json::parse(io::read_text(record)).at("checkpoints");
        if (const Json* before = known.find(checkpoint)) {
            expect_same_checkpoint(checkpoint, *before, what);
        }
    }
}

void RunFolder::describe(const std::string& checkpoint, const Json& what) {
    expect_same(checkpoint, what);
    Json checkpoints = record_.at("checkpoints");
    checkpoints.set(checkpoint, what);
    record_.set("checkpoints", std::move(checkpoints));
    io::write_text_atomically(record_path_, record_.dump(2) + "\n");
}

Json RunFolder::find_description(const std::string& checkpoint) const {
    if (const Json* known = record_.at("checkpoints").find(checkpoint)) {
        return *known;
    }
    for (const fs::path& record : list_files(record_path_.parent_path(), "run", ".json")) {
        if (has_results(record)) {
            const Json others = Json::parse(io::read_text(record)).at("checkpoints");
            if (const Json* known = others.find(checkpoint)) {
                return *known;
            }
        }
    }
    return {};
}

namespace {

/// Of a graded answer: means are taken of scores, and told with what run.json says of the
/// checkpoint. Other lines (of `gradients`) name other things.
/// Errors: `malformed`.
void check_grade(const Json& line, const Json& checkpoints) {
    const Json* score = line.find("score");
    if (score == nullptr && line.find("correct") == nullptr) {
        return;
    }
    const std::string& checkpoint = line.at("checkpoint").as_string("'checkpoint'");
    if (checkpoints.find(checkpoint) == nullptr) {
        throw Error(ErrorKind::malformed,
                    format("the checkpoint {} is none of those that run.json describes",
                           in_quotes(checkpoint)));
    }
    const double value = score == nullptr ? 0.0 : score->as_double("'score'");
    if (!(value >= 0.0 && value <= 1.0)) {
        throw Error(ErrorKind::malformed,
                    format("the score is {}, and scores are from 0 to 1", score->dump()));
    }
}

std::vector<Json> read_results(const fs::path& path, const Json& checkpoints) {
    std::vector<Json> lines = io::read_json_lines(path);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        in_context(
            [&] { return format("reading line {} of {}", i + 1, in_quotes(path.string(), 1000)); },
            [&] { check_grade(lines[i], checkpoints); });
    }
    return lines;
}

RunPlan make_plan(const RunRecord& run) {
    RunPlan plan{.settings = run.settings};
    for (const auto& [name, _] : run.checkpoints.as_object("'checkpoints'")) {
        plan.checkpoints.push_back(name);
    }
    return plan;
}

/// The answers of a folder, as its files are read one after another.
class Answers {
public:
    explicit Answers(const fs::path& folder) : folder_(folder) {}

    /// False for one that another part has given too: they ran at the same time, and the first one
    /// counts. Errors: `mismatch` for one that is twice in a file, or of another prompt than
    /// before.
    bool take(const Json& line, const fs::path& file) {
        const std::string checkpoint = line.at("checkpoint").as_string("'checkpoint'");
        const std::string id = line.at("id").as_string("'id'");
        const auto [first, is_new] = files_.emplace(checkpoint + '\n' + id, file);
        if (!is_new && first->second == file) {
            throw Error(
                ErrorKind::mismatch,
                format(
                    "duplicate sample {} of {} in {}", id, checkpoint, in_quotes(file.string())));
        }
        const Json* prompt = line.find("prompt_sha256");
        if (prompt != nullptr) {
            const auto known = prompts_.emplace(id, prompt->dump()).first;
            if (known->second != prompt->dump()) {
                throw Error(ErrorKind::mismatch,
                            format("sample {} of {} is not the same prompt for every "
                                   "checkpoint in {}: their scores cannot be compared",
                                   id,
                                   checkpoint,
                                   in_quotes(folder_.string())));
            }
        }
        return is_new;
    }

private:
    const fs::path& folder_;
    std::unordered_map<std::string, fs::path> files_;       // where each was first
    std::unordered_map<std::string, std::string> prompts_;  // digests by sample
};

}  // namespace

RunRecord read_run(const fs::path& folder) {
    const std::vector<fs::path> records = list_files(folder, "run", ".json");
    if (records.empty()) {
        throw Error(
            ErrorKind::not_found,
            format("no run.json in {}: it holds no evaluation", in_quotes(folder.string())));
    }
    RunRecord run;
    run.checkpoints = Json::object();
    for (const fs::path& path : records) {
        const Json record = Json::parse(io::read_text(path));
        const Json& settings = record.at("settings");
        if (run.settings.is_null()) {
            run.settings = settings;
        } else if (const auto difference = io::find_difference(run.settings, settings)) {
            throw Error(ErrorKind::mismatch,
                        format("{} was made with other settings than its neighbours ({})",
                               in_quotes(path.string()),
                               *difference));
        }
        for (const auto& [name, what] : record.at("checkpoints").as_object("'checkpoints'")) {
            if (const Json* known = run.checkpoints.find(name)) {
                expect_same_checkpoint(name, *known, what);
            }
            run.checkpoints.set(name, what);
        }
    }
    run.plans.push_back(make_plan(run));
    Answers answers(folder);
    for (const fs::path& path : list_files(folder, "results", ".jsonl")) {
        for (Json& line : read_results(path, run.checkpoints)) {
            if (answers.take(line, path)) {
                const bool is_repeat = line.find("again") != nullptr;
                (is_repeat ? run.repeats : run.results).push_back(std::move(line));
            }
        }
    }
    return run;
}

}  // namespace anamnesis::eval
