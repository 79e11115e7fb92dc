// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/training_data.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/replay.hpp"
#include "anamnesis/train/samples_source.hpp"
#include "anamnesis/train/synthetic/source.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

/// Tokens of a replayed synthetic sample where the data have no length.
constexpr std::uint64_t replayed_length = 256;

Course make_ready_course(const TrainingData& data, std::optional<std::uint64_t> asked) {
    auto batches = std::make_unique<BatchesFile>(data.batches);
    const std::uint64_t steps = asked.value_or(batches->steps());
    if (steps == 0 || steps > batches->steps()) {
        throw Error(ErrorKind::usage,
                    format("--steps is {}; {} has batches for {}",
                           steps,
                           in_quotes(data.batches, 1000),
                           batches->steps()));
    }
    return {.source = std::move(batches), .steps = steps};
}

/// Every sample of the files, encoded as the data say.
std::vector<language::SupervisedText> read_all_samples(const std::vector<std::string>& paths,
                                                       const TrainingData& data,
                                                       const LearningModel& model) {
    const fs::path& folder = model.checkpoint.folder();
    std::optional<language::Tokenizer> tokenizer;
    if (language::Tokenizer::is_in(folder)) {
        tokenizer = language::Tokenizer::open(folder);
    }
    language::SupervisionRules rules{.tokenizer = tokenizer ? &*tokenizer : nullptr,
                                     .supervises_prompts = data.learns_prompts,
                                     .longest = data.length};
    std::optional<language::ChatTemplate> chat;
    if (data.uses_chat_template) {
        chat = language::ChatTemplate::open(folder, "leave out --chat");
        rules.chat = [&chat]() -> const language::ChatTemplate& { return *chat; };
    }
    const auto ends = language::end_of_text_tokens(folder, model.checkpoint.config());
    if (!ends.empty()) {
        rules.end_of_text = ends.front();
    }
    std::vector<language::SupervisedText> samples;
    for (const std::string& path : paths) {
        std::vector<language::SupervisedText> more = language::read_supervised_lines(path, rules);
        language::require_known_tokens(more, in_quotes(path, 1000), model.vocabulary);
        std::ranges::move(more, std::back_inserter(samples));
    }
    return samples;
}

std::unique_ptr<BatchSource> make_replayed_source(const TrainingData::Replay& replay,
                                                  const TrainingData& data,
                                                  const LearningModel& model) {
    // Other draws than those of the data, should both be of one kind.
    const std::uint64_t seed = data.seed + 0x5EED;
    if (replay.task) {
        const std::uint64_t length = data.length == 0 ? replayed_length : data.length;
        return std::make_unique<synthetic::SyntheticSource>(
            *replay.task,
            std::vector<synthetic::Stage>{{.steps = 1, .rows = replay.rows, .length = length}},
            seed);
    }
    return std::make_unique<SamplesSource>(
        read_all_samples({replay.file}, data, model),
        BatchingRules{
            .rows = replay.rows, .packed_length = data.is_packed ? data.length : 0, .seed = seed});
}

Course make_text_course(const TrainingData& data,
                        std::optional<std::uint64_t> steps,
                        const LearningModel& model) {
    if (data.files.empty()) {
        throw Error(ErrorKind::usage, "nothing to train on: give --data or --batches");
    }
    if (data.is_packed && data.length == 0) {
        throw Error(ErrorKind::usage, "--pack needs --length, the tokens of a packed row");
    }
    auto source = std::make_unique<SamplesSource>(
        read_all_samples(data.files, data, model),
        BatchingRules{.rows = data.rows,
                      .accumulated = data.accumulated,
                      .packed_length = data.is_packed ? data.length : 0,
                      .seed = data.seed});
    const std::uint64_t rows = data.rows * data.accumulated;
    const std::uint64_t epoch = (source->units() + rows - 1) / rows;
    return {.source = std::move(source), .steps = steps.value_or(epoch)};
}

Course make_learned_course(const TrainingData& data,
                           std::optional<std::uint64_t> steps,
                           const LearningModel& model) {
    if (!data.stages.empty() && !data.task) {
        throw Error(ErrorKind::usage, "--stages belongs to --data synthetic:TASK");
    }
    if (!data.batches.empty()) {
        return make_ready_course(data, steps);
    }
    if (data.task) {
        auto source =
            std::make_unique<synthetic::SyntheticSource>(*data.task, data.stages, data.seed);
        const std::uint64_t all = source->steps();
        return {.source = std::move(source), .steps = steps.value_or(all)};
    }
    return make_text_course(data, steps, model);
}

constexpr std::string_view synthetic_prefix = "synthetic:";

std::string describe_task(synthetic::Task task) {
    return format("{}{}", synthetic_prefix, synthetic::to_string(task));
}

/// Absent: the word names a file.
std::optional<synthetic::Task> parse_task(std::string_view word) {
    return word.starts_with(synthetic_prefix)
               ? std::optional(synthetic::parse_task(word.substr(synthetic_prefix.size())))
               : std::nullopt;
}

}  // namespace

void set_sources(TrainingData& data, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        if (words.size() > 1 && word.starts_with(synthetic_prefix)) {
            throw Error(ErrorKind::usage,
                        format("--data {} is made as it is needed and stands alone, and --data is "
                               "given {} times; leave the others out, or mix their rows in with "
                               "--replay",
                               word,
                               words.size()));
        }
    }
    data.task = words.size() == 1 ? parse_task(words.front()) : std::nullopt;
    data.files = data.task ? std::vector<std::string>() : words;
}

TrainingData::Replay parse_replay(const std::string& word, std::uint64_t rows) {
    TrainingData::Replay replay{.task = parse_task(word), .rows = rows};
    if (!replay.task) {
        replay.file = word;
    }
    return replay;
}

Course make_course(const TrainingData& data,
                   std::optional<std::uint64_t> steps,
                   const LearningModel& model) {
    if (steps == 0U) {
        throw Error(ErrorKind::usage,
                    "--steps is 0, and a run takes at least one step; leave --steps out for as "
                    "many as the data are made for");
    }
    Course course = make_learned_course(data, steps, model);
    if (data.replay) {
        course.source = std::make_unique<Replay>(std::move(course.source),
                                                 make_replayed_source(*data.replay, data, model));
    }
    return course;
}

std::vector<std::string> describe_data(const TrainingData& data) {
    return data.task ? std::vector<std::string>{describe_task(*data.task)} : data.files;
}

std::vector<std::string> describe_stages(const TrainingData& data) {
    std::vector<std::string> words;
    for (const synthetic::Stage& stage : data.stages) {
        words.push_back(format("{}x{}x{}", stage.steps, stage.rows, stage.length));
    }
    return words;
}

std::string describe_replay(const TrainingData::Replay& replay) {
    return replay.task ? describe_task(*replay.task) : replay.file;
}

}  // namespace anamnesis::train
