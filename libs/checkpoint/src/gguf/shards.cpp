// SPDX-License-Identifier: Apache-2.0
#include "gguf/shards.hpp"

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf_shards.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "weight_files.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t digits = 5;

std::optional<std::uint32_t> read_number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return text.size() == digits && error == std::errc{} && end == text.data() + text.size()
               ? std::optional(value)
               : std::nullopt;
}

std::string make_shard_name(const GgufShardName& shard, std::uint32_t number) {
    return format("{}-{:05}-of-{:05}{}", shard.stem, number, shard.count, gguf_extension);
}

std::vector<std::string> list_shards(const fs::path& folder, const GgufShardName& shard) {
    std::vector<std::string> names;
    std::vector<std::string> missing;
    for (std::uint32_t number = 1; number <= shard.count; ++number) {
        names.push_back(make_shard_name(shard, number));
        std::error_code ignored;
        if (!fs::exists(folder / names.back(), ignored)) {
            missing.push_back(names.back());
        }
    }
    if (!missing.empty()) {
        constexpr std::size_t most_named = 3;
        const std::size_t count = missing.size();
        missing.resize(std::min(count, most_named));
        throw Error(ErrorKind::not_found,
                    format("folder {} lacks {} of {} shards: {}{}",
                           in_quotes(folder.string(), 1000),
                           count,
                           shard.count,
                           join(missing, ", "),
                           count > most_named ? "…" : ""));
    }
    return names;
}

[[noreturn]] void malformed(const std::string& name, const std::string& what) {
    throw Error(ErrorKind::malformed, format("{} {}", in_quotes(name), what));
}

}  // namespace

std::optional<GgufShardName> find_gguf_shard_name(std::string_view name) {
    constexpr std::string_view between = "-of-";
    constexpr std::size_t tail = 1 + digits + between.size() + digits;
    if (!name.ends_with(gguf_extension)) {
        return std::nullopt;
    }
    name.remove_suffix(gguf_extension.size());
    if (name.size() <= tail || name[name.size() - tail] != '-' ||
        name.substr(name.size() - digits - between.size(), between.size()) != between) {
        return std::nullopt;
    }
    const auto number = read_number(name.substr(name.size() - tail + 1, digits));
    const auto count = read_number(name.substr(name.size() - digits));
    if (!number || !count || *number == 0 || *number > *count) {
        return std::nullopt;
    }
    return GgufShardName{.stem = std::string(name.substr(0, name.size() - tail)),
                         .number = *number,
                         .count = *count};
}

bool are_of_one_set(std::string_view left, std::string_view right) {
    const auto one = find_gguf_shard_name(left);
    const auto other = find_gguf_shard_name(right);
    return one && other && one->stem == other->stem && one->count == other->count;
}

bool is_whole_gguf(const fs::path& path) {
    const auto shard = find_gguf_shard_name(path.filename().string());
    return path.extension() == gguf_extension && (!shard || shard->count == 1);
}

WeightFiles find_gguf_files(const fs::path& path) {
    WeightFiles weights;
    weights.folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const std::string name = path.filename().string();
    const auto shard = find_gguf_shard_name(name);
    if (shard && shard->count > 1) {
        weights.names = list_shards(weights.folder, *shard);
        return weights;
    }
    weights.is_single_file = true;
    weights.names = {name};
    return weights;
}

WeightFiles choose_gguf_in_folder(const fs::path& folder, const std::vector<std::string>& names) {
    std::set<std::string> models;
    std::string chosen;
    for (const std::string& name : names) {
        if (name.ends_with(gguf_extension)) {
            const auto shard = find_gguf_shard_name(name);
            const bool is_new =
                models.insert(shard ? format("{} of {}", shard->stem, shard->count) : name).second;
            chosen = is_new ? name : chosen;
        }
    }
    if (models.size() != 1) {
        throw Error(ErrorKind::usage,
                    format("folder {} has {} GGUF models: {}; name one file of the one that is "
                           "meant",
                           in_quotes(folder.string(), 1000),
                           models.size(),
                           join(std::vector(models.begin(), models.end()), ", ")));
    }
    WeightFiles weights = find_gguf_files(folder / chosen);
    weights.is_single_file = false;
    return weights;
}

void check_gguf_shards(const std::vector<std::string>& names,
                       const std::vector<std::shared_ptr<const formats::GgufFile>>& files) {
    std::uint64_t tensors = 0;
    for (const auto& file : files) {
        tensors += file->tensors.size();
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
        const auto& split = files[i]->split;
        if (!split) {
            if (files.size() > 1) {
                malformed(names[i],
                          format("is named as one of {} shards, but has no key 'split.count'",
                                 files.size()));
            }
            continue;
        }
        if (split->count != files.size()) {
            malformed(
                names[i],
                format("says split.count {}, expected {} by its name{}",
                       split->count,
                       files.size(),
                       files.size() == 1 ? " (shards are called NAME-00001-of-00002.gguf)" : ""));
        }
        if (split->number != i) {
            malformed(names[i],
                      format("says split.no {}, expected {} by its name", split->number, i));
        }
        if (split->tensors && *split->tensors != tensors) {
            malformed(
                names[i],
                format(
                    "says split.tensors.count {}, the shards have {}", *split->tensors, tensors));
        }
    }
}

}  // namespace anamnesis::checkpoint
