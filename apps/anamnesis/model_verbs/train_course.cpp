// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/train_course.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/replay.hpp"
#include "anamnesis/train/sample.hpp"
#include "anamnesis/train/samples_source.hpp"
#include "anamnesis/train/synthetic/source.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

Course ready_course(const TrainOptions& options) {
    auto batches = std::make_unique<train::BatchesFile>(options.batches);
    const std::uint64_t steps = options.steps.value_or(batches->steps());
    if (steps == 0 || steps > batches->steps()) {
        throw Error(ErrorKind::usage,
                    format("--steps is {}; {} has batches for {}",
                           steps,
                           in_quotes(options.batches, 1000),
                           batches->steps()));
    }
    return {.source = std::move(batches), .steps = steps};
}

constexpr std::string_view synthetic_prefix = "synthetic:";

train::synthetic::Stage stage_of(const std::string& word) {
    const std::vector<std::string> parts = split(word, 'x');
    std::array<std::uint64_t, 3> numbers{};
    bool is_stage = parts.size() == numbers.size();
    for (std::size_t i = 0; is_stage && i < numbers.size(); ++i) {
        const char* end = parts[i].data() + parts[i].size();
        const auto [rest, error] = std::from_chars(parts[i].data(), end, numbers.at(i));
        is_stage = error == std::errc{} && rest == end && numbers.at(i) < (1U << 24U);
    }
    if (!is_stage) {
        throw Error(ErrorKind::usage,
                    format("--stages has {}, expected STEPSxROWSxLENGTH", in_quotes(word)));
    }
    return {.steps = numbers[0], .rows = numbers[1], .length = numbers[2]};
}

Course synthetic_course(const TrainOptions& options) {
    std::vector<train::synthetic::Stage> stages;
    for (const std::string& word : options.stages) {
        stages.push_back(stage_of(word));
    }
    auto source = std::make_unique<train::synthetic::SyntheticSource>(
        train::synthetic::task_of(
            std::string_view(options.data.front()).substr(synthetic_prefix.size())),
        std::move(stages),
        options.seed);
    const std::uint64_t steps = options.steps.value_or(source->steps());
    return {.source = std::move(source), .steps = steps};
}

/// Every sample of the files, encoded as the options say.
std::vector<train::Sample> samples_of(const std::vector<std::string>& paths,
                                      const TrainOptions& options,
                                      const OpenedCheckpoint& opened) {
    const fs::path folder = opened.checkpoint.folder();
    std::optional<language::Tokenizer> tokenizer;
    if (fs::exists(folder / "tokenizer.json") || fs::exists(folder / "vocab.json")) {
        tokenizer = language::Tokenizer::open(folder);
    }
    train::EncodingRules rules{.tokenizer = tokenizer ? &*tokenizer : nullptr,
                               .learns_prompts = options.learns_prompts,
                               .longest = options.length};
    if (options.chat) {
        rules.chat = language::ChatTemplate::open(folder);
    }
    const auto ends = language::end_of_text_tokens(folder, opened.checkpoint.config());
    if (!ends.empty()) {
        rules.end_of_text = ends.front();
    }
    std::vector<train::Sample> samples;
    for (const std::string& path : paths) {
        std::vector<train::Sample> more = train::read_samples(path, rules);
        std::ranges::move(more, std::back_inserter(samples));
    }
    return samples;
}

/// What every step takes from --replay: as many rows as --replay-rows says.
std::unique_ptr<train::BatchSource> replayed(const TrainOptions& options,
                                             const OpenedCheckpoint& opened) {
    // Other draws than those of the data, should both be of one kind.
    const std::uint64_t seed = options.seed + 0x5EED;
    if (options.replay.starts_with(synthetic_prefix)) {
        const std::uint64_t length = options.length == 0 ? 256 : options.length;
        return std::make_unique<train::synthetic::SyntheticSource>(
            train::synthetic::task_of(
                std::string_view(options.replay).substr(synthetic_prefix.size())),
            std::vector<train::synthetic::Stage>{
                {.steps = 1, .rows = options.replay_rows, .length = length}},
            seed);
    }
    return std::make_unique<train::SamplesSource>(
        samples_of({options.replay}, options, opened),
        train::BatchingRules{.rows = options.replay_rows,
                             .packed_length = options.is_packed ? options.length : 0,
                             .seed = seed});
}

Course learned_course(const TrainOptions& options, const OpenedCheckpoint& opened) {
    if (!options.batches.empty()) {
        return ready_course(options);
    }
    if (is_synthetic(options)) {
        return synthetic_course(options);
    }
    if (options.data.empty()) {
        throw Error(ErrorKind::usage, "nothing to train on: give --data or --batches");
    }
    if (options.is_packed && options.length == 0) {
        throw Error(ErrorKind::usage, "--pack needs --length, the tokens of a packed row");
    }
    std::vector<train::Sample> samples = samples_of(options.data, options, opened);
    auto source = std::make_unique<train::SamplesSource>(
        std::move(samples),
        train::BatchingRules{.rows = options.batch_size,
                             .accumulated = options.accumulated,
                             .packed_length = options.is_packed ? options.length : 0,
                             .seed = options.seed});
    const std::uint64_t rows = options.batch_size * options.accumulated;
    const std::uint64_t epoch = (source->units() + rows - 1) / rows;
    return {.source = std::move(source), .steps = options.steps.value_or(epoch)};
}

}  // namespace

bool is_synthetic(const TrainOptions& options) {
    return options.data.size() == 1 && options.data.front().starts_with(synthetic_prefix);
}

Course course_of(const TrainOptions& options, const OpenedCheckpoint& opened) {
    Course course = learned_course(options, opened);
    if (!options.replay.empty()) {
        course.source =
            std::make_unique<train::Replay>(std::move(course.source), replayed(options, opened));
    }
    return course;
}

}  // namespace anamnesis::app
