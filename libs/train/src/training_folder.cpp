// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/training_folder.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/json_lines.hpp"
#include "anamnesis/io/run_settings.hpp"

#include "tensor_file.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view settings_name = "run.json";
constexpr std::string_view receipt_name = "training.json";
constexpr std::string_view state_prefix = "step-";
constexpr std::string_view state_suffix = ".safetensors";
constexpr std::size_t states_kept = 2;

/// Steps done, of a state file's name.
std::optional<std::uint64_t> parse_steps(const std::string& name) {
    if (!name.starts_with(state_prefix) || !name.ends_with(state_suffix)) {
        return std::nullopt;
    }
    const char* first = name.data() + state_prefix.size();
    const char* last = name.data() + name.size() - state_suffix.size();
    std::uint64_t steps = 0;
    const auto [end, error] = std::from_chars(first, last, steps);
    return error == std::errc{} && end == last ? std::optional(steps) : std::nullopt;
}

/// Newest first.
std::vector<std::uint64_t> saved_steps(const fs::path& folder) {
    std::vector<std::uint64_t> steps;
    if (fs::is_directory(folder)) {
        for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
            if (const auto found = parse_steps(entry.path().filename().string())) {
                steps.push_back(*found);
            }
        }
    }
    std::ranges::sort(steps, std::greater<>());
    return steps;
}

fs::path state_path(const fs::path& folder, std::uint64_t steps) {
    return folder / "resume" / format("{}{}{}", state_prefix, steps, state_suffix);
}

io::File open_lock(const fs::path& path) {
    try {
        return io::File::open_for_update(path);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) {
            throw;
        }
    }
    return io::File::create(path);
}

}  // namespace

TrainingFolder::TrainingFolder(const fs::path& folder, Json settings)
    : folder_(folder), settings_(std::move(settings)) {
    const bool is_new = !fs::exists(folder / settings_name);
    if (is_new && fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder))) {
        throw Error(ErrorKind::usage,
                    format("{} exists and is not the folder of a training run",
                           in_quotes(folder.string(), 1000)));
    }
    if (!is_new) {
        check_settings();
    }
    if (fs::exists(folder / receipt_name)) {
        receipt_ = Json::parse(io::read_text(folder / receipt_name));
        remove_states();  // of a run that was killed after its receipt
        return;
    }
    std::error_code error;
    fs::create_directories(folder / "resume", error);
    if (error) {
        throw io_error(format("making {}", in_quotes((folder / "resume").string(), 1000)),
                       error.value());
    }
    lock_ = open_lock(folder / "resume" / ".lock");
    if (!lock_->try_lock()) {
        throw Error(ErrorKind::usage,
                    format("another process trains in {}", in_quotes(folder.string(), 1000)));
    }
    io::write_text_atomically(folder / settings_name, settings_.dump(2) + "\n");
}

TrainingFolder TrainingFolder::of_another(const fs::path& folder) {
    TrainingFolder there(folder);
    if (fs::exists(folder / receipt_name)) {
        there.receipt_ = Json::parse(io::read_text(folder / receipt_name));
    }
    return there;
}

/// A run that failed before its first step leaves its folder to any other.
void TrainingFolder::check_settings() const {
    const Json found = Json::parse(io::read_text(folder_ / settings_name));
    const bool has_begun =
        fs::exists(folder_ / "metrics.jsonl") || fs::exists(folder_ / receipt_name);
    if (has_begun) {
        io::expect_same_run(folder_, found, settings_);
    }
}

std::optional<TrainingFolder::Saved> TrainingFolder::newest_state() const {
    for (const std::uint64_t steps : saved_steps(folder_ / "resume")) {
        try {
            const auto file = formats::SafetensorsFile::open(state_path(folder_, steps));
            return Saved{.steps_done = steps, .state = read_tensors(file)};
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::malformed) {
                throw;
            }
        }
    }
    return std::nullopt;
}

std::optional<Json> TrainingFolder::begin_metrics(std::uint64_t next_step) {
    metrics_.reset();  // its lock, where it was begun before
    metrics_ = io::JsonLines::open(folder_ / "metrics.jsonl");
    std::optional<Json> last;
    std::size_t kept = 0;
    for (const Json& line : metrics_->lines()) {
        if (line.at("step").as_unsigned("step") >= next_step) {
            break;
        }
        last = line;
        ++kept;
    }
    metrics_->keep_first(kept);
    return last;
}

void TrainingFolder::append_metrics(const Json& line) {
    metrics_->append(line);
}

void TrainingFolder::save_state(std::uint64_t steps_done, const NamedTensors& state) {
    write_tensors(state_path(folder_, steps_done), state, {});
    const std::vector<std::uint64_t> all = saved_steps(folder_ / "resume");
    for (std::size_t i = states_kept; i < all.size(); ++i) {
        fs::remove(state_path(folder_, all[i]));
    }
}

void TrainingFolder::finish(Json receipt) {
    io::write_text_atomically(folder_ / receipt_name, receipt.dump(2) + "\n");
    receipt_ = std::move(receipt);
    metrics_.reset();
    lock_.reset();
    remove_states();
}

void TrainingFolder::remove_states() const noexcept {
    std::error_code ignored;
    fs::remove_all(folder_ / "resume", ignored);
}

void TrainingFolder::discard_unbegun(const fs::path& start) noexcept {
    std::error_code ignored;
    const bool has_begun = fs::exists(folder_ / "metrics.jsonl", ignored) ||
                           fs::exists(folder_ / receipt_name, ignored);
    if (has_begun || !lock_) {
        return;
    }
    lock_.reset();
    remove_states();
    fs::remove_all(start, ignored);
    fs::remove(folder_ / settings_name, ignored);
    fs::remove(folder_, ignored);  // unless something is in it
}

}  // namespace anamnesis::train
