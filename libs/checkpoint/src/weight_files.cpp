// SPDX-License-Identifier: Apache-2.0
#include "weight_files.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <bits/ranges_algo.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/formats/foreign_file.hpp"
#include "anamnesis/formats/shard_index.hpp"
#include "anamnesis/io/file.hpp"

#include "file_faults.hpp"
#include "gguf/shards.hpp"
#include "refuse_adapters.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view model_stem = "model";
constexpr std::string_view extension = ".safetensors";
constexpr std::string_view index_ending = ".safetensors.index.json";

std::string quoted(const fs::path& path) {
    return in_quotes(path.string());
}

/// True for an entry that is there, even where it is a link that leads nowhere: such a link is an
/// error to report, not a file to do without.
bool entry_exists(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(path, ignored));
}

void expect_reachable(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error) && entry_exists(path)) {
        std::error_code ignored;
        throw Error(ErrorKind::not_found,
                    format("{} is a symbolic link to {}, which does not exist",
                           quoted(path),
                           quoted(fs::read_symlink(path, ignored))));
    }
}

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        names.push_back(entry->path().filename().string());
    }
    if (error) {
        throw io_error(format("listing {}", quoted(folder)), error.value());
    }
    std::ranges::sort(names);
    return names;
}

/// "model-00002-of-00005.safetensors" gives 2 and 5.
std::optional<std::pair<std::uint32_t, std::uint32_t>> find_shard_number(std::string_view name) {
    constexpr std::string_view between = "-of-";
    if (!name.ends_with(extension)) {
        return std::nullopt;
    }
    name.remove_suffix(extension.size());
    const std::size_t at = name.rfind(between);
    const std::size_t dash = at == std::string_view::npos ? at : name.substr(0, at).rfind('-');
    if (dash == std::string_view::npos) {
        return std::nullopt;
    }
    const auto number = [](std::string_view digits) -> std::optional<std::uint32_t> {
        std::uint32_t value = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc{} && end == digits.data() + digits.size() ? std::optional(value)
                                                                            : std::nullopt;
    };
    const auto part = number(name.substr(dash + 1, at - dash - 1));
    const auto whole = number(name.substr(at + between.size()));
    return part && whole ? std::optional(std::pair(*part, *whole)) : std::nullopt;
}

bool are_all_shards(const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto number = find_shard_number(names[i]);
        if (!number || number->first != i + 1 || number->second != names.size()) {
            return false;
        }
    }
    return true;
}

formats::ShardIndex read_index(const fs::path& path) {
    return in_context([&] { return format("reading {}", quoted(path)); },
                      [&] {
                          // An index names each tensor once; the largest real one has 20 MB.
                          const std::string text = io::read_text(path);
                          if (const auto foreign = formats::describe_foreign_bytes(text)) {
                              throw Error(ErrorKind::malformed,
                                          format("{} is {}", quoted(path), *foreign));
                          }
                          formats::ShardIndex index = formats::parse_shard_index(text);
                          if (index.weight_map.empty()) {
                              throw Error(ErrorKind::malformed, "the index names no tensor");
                          }
                          return index;
                      });
}

void use_index(WeightFiles& weights, const std::vector<std::string>& candidates) {
    weights.index = read_index(weights.folder / weights.index_name());
    weights.names = weights.index->files();
    for (const std::string& name : weights.names) {
        const fs::path path = weights.folder / name;
        expect_reachable(path);
        if (!entry_exists(path)) {
            const auto tensors = std::ranges::count(
                weights.index->weight_map, name, &std::pair<std::string, std::string>::second);
            throw Error(ErrorKind::not_found,
                        format("shard {} is missing; the index puts {} tensors into it",
                               quoted(path),
                               tensors));
        }
    }
    for (const std::string& name : candidates) {
        if (std::ranges::find(weights.names, name) == weights.names.end()) {
            weights.findings.push_back(make_finding(
                "unindexed_file",
                Severity::warning,
                {name},
                format("{} is in the folder, but the index does not name it", in_quotes(name))));
        }
    }
}

void choose_without_index(WeightFiles& weights,
                          const std::vector<std::string>& names,
                          const std::vector<std::string>& candidates) {
    if (candidates.empty()) {
        const auto is_gguf = [](const std::string& name) { return name.ends_with(gguf_extension); };
        if (std::ranges::any_of(names, is_gguf)) {
            weights = choose_gguf_in_folder(weights.folder, names);
            return;
        }
        refuse_folder_without_weights(weights.folder, names);
    }
    const auto is_of_adapter = [](const std::string& name) { return name.starts_with("adapter_"); };
    if (weights.stem == model_stem && std::ranges::all_of(candidates, is_of_adapter)) {
        refuse_adapter_folder(weights.folder, candidates.front());
    }
    if (candidates.size() == 1) {
        const std::string& only = candidates.front();
        if (const auto number = find_shard_number(only); number && number->second > 1) {
            throw Error(ErrorKind::not_found,
                        format("folder {} has shard {} alone and no {}",
                               quoted(weights.folder),
                               in_quotes(only),
                               in_quotes(weights.index_name())));
        }
        weights.findings.push_back(
            make_finding("other_file_name",
                         Severity::warning,
                         {only},
                         format("the weights are in {}; other tools look for {}",
                                in_quotes(only),
                                weights.single_name())));
        weights.names = candidates;
        return;
    }
    if (!are_all_shards(candidates)) {
        throw Error(ErrorKind::not_found,
                    format("folder {} has {} .safetensors files, such as {}, but no {}",
                           quoted(weights.folder),
                           candidates.size(),
                           in_quotes(candidates.front()),
                           in_quotes(weights.index_name())));
    }
    weights.findings.push_back(make_finding("shards_without_index",
                                            Severity::warning,
                                            candidates,
                                            format("the {} shards have no {}; other tools need it",
                                                   candidates.size(),
                                                   in_quotes(weights.index_name()))));
    weights.names = candidates;
}

/// Whether an index is one of the single file; one that cannot be read is none.
bool names_single_file(const fs::path& index, const std::string& single_name) {
    try {
        const std::vector<std::string> named = read_index(index).files();
        return std::ranges::find(named, single_name) != named.end();
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::malformed) {
            throw;
        }
        return false;
    }
}

/// What an adapter stores is no model of the config beside it, which is its base's.
bool owns_config(const fs::path& file) {
    return !file.filename().string().starts_with("adapter_");
}

WeightFiles find_in_folder(const fs::path& folder, const std::string& stem) {
    WeightFiles weights{.folder = folder, .stem = stem};
    const std::string single_name = weights.single_name();
    const std::string index_name = weights.index_name();
    const std::vector<std::string> names = names_in(folder);
    std::vector<std::string> candidates;
    std::ranges::copy_if(names, std::back_inserter(candidates), [&](const std::string& name) {
        return name.ends_with(extension) && (stem == model_stem || name.starts_with(stem));
    });
    for (const std::string& name : {single_name, index_name}) {
        expect_reachable(folder / name);
    }
    const bool has_single = entry_exists(folder / single_name);
    const bool has_index = entry_exists(folder / index_name);
    if (has_single && has_index) {
        if (names_single_file(folder / index_name, single_name)) {
            use_index(weights, candidates);
        } else {
            // transformers looks for the single file first, so that is what users run.
            weights.names = {single_name};
            weights.findings.push_back(make_finding(
                "stale_index",
                Severity::warning,
                {index_name},
                format("both {} and {} are there; {} is used, as transformers does, and the index "
                       "and its shards are ignored",
                       in_quotes(weights.single_name()),
                       in_quotes(weights.index_name()),
                       in_quotes(weights.single_name())),
                "remove the index and its shards; a repaired copy has neither"));
        }
    } else if (has_index) {
        use_index(weights, candidates);
    } else if (has_single) {
        weights.names = {single_name};
        for (const std::string& name : candidates) {
            if (name != single_name && !name.starts_with("adapter_")) {
                weights.findings.push_back(make_finding(
                    "ignored_file",
                    Severity::warning,
                    {name},
                    format("{} is beside {} and is ignored", in_quotes(name), single_name)));
            }
        }
    } else {
        choose_without_index(weights, names, candidates);
    }
    if (owns_config(stem) && entry_exists(folder / "config.json")) {
        expect_reachable(folder / "config.json");
        weights.config = folder / "config.json";
    }
    return weights;
}

WeightFiles find_single(const fs::path& path) {
    const std::string ending = path.extension().string();
    if (ending == gguf_extension) {
        return find_gguf_files(path);
    }
    if (ending != extension) {
        if (const auto foreign = formats::describe_foreign_file(path)) {
            throw Error(ErrorKind::unsupported, format("{} is {}", quoted(path), *foreign));
        }
        throw Error(ErrorKind::unsupported,
                    format("{} is no .safetensors or .gguf file and no folder", quoted(path)));
    }
    WeightFiles weights{.folder = path.has_parent_path() ? path.parent_path() : fs::path("."),
                        .names = {path.filename().string()},
                        .is_single_file = true};
    const fs::path config = weights.folder / "config.json";
    if (owns_config(path) && entry_exists(config)) {
        weights.config = config;
    }
    return weights;
}

/// Entries of an index that do not fit the tensors of its shards.
struct IndexFaults {
    std::vector<std::string> phantoms;   ///< no shard has them
    std::vector<std::string> misplaced;  ///< another shard has them
    std::vector<std::string> unnamed;    ///< in a shard, not in the index

    bool is_empty() const { return phantoms.empty() && misplaced.empty() && unnamed.empty(); }
};

IndexFaults find_index_faults(const formats::ShardIndex& index,
                              const std::vector<std::string>& names,
                              const Checkpoint& checkpoint) {
    IndexFaults faults;
    std::vector<std::string> named;
    for (const auto& [tensor, file] : index.weight_map) {
        const TensorEntry* entry = checkpoint.find(tensor);
        if (entry == nullptr) {
            faults.phantoms.push_back(tensor);
        } else if (names[entry->file] != file) {
            faults.misplaced.push_back(tensor);
        }
        named.push_back(tensor);
    }
    std::ranges::sort(named);
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        if (!std::ranges::binary_search(named, tensor.name)) {
            faults.unnamed.push_back(tensor.name);
        }
    }
    return faults;
}

}  // namespace

WeightFiles find_weight_files(const fs::path& path) {
    expect_reachable(path);
    if (!entry_exists(path)) {
        throw Error(ErrorKind::not_found,
                    format("{} does not exist{}", quoted(path), advise_on_missing_path(path)));
    }
    std::error_code error;
    if (fs::is_directory(path, error)) {
        return find_in_folder(path, std::string(model_stem));
    }
    std::string name = path.filename().string();
    if (name.ends_with(index_ending)) {
        name.resize(name.size() - index_ending.size());
        return find_in_folder(path.has_parent_path() ? path.parent_path() : ".", name);
    }
    return find_single(path);
}

bool check_index(const formats::ShardIndex& index,
                 const std::vector<std::string>& names,
                 const Checkpoint& checkpoint,
                 std::vector<Finding>& findings) {
    const IndexFaults faults = find_index_faults(index, names, checkpoint);
    const auto add = [&](std::string code,
                         const std::vector<std::string>& tensors,
                         std::string_view one,
                         std::string_view many,
                         std::string remedy) {
        if (!tensors.empty()) {
            findings.push_back(make_finding(
                std::move(code),
                Severity::warning,
                tensors,
                format("{}: {}",
                       tensors.size() == 1 ? std::string(one)
                                           : format("{} tensors {}", tensors.size(), many),
                       list_examples(tensors)),
                std::move(remedy)));
        }
    };
    add("index_without_tensor",
        faults.phantoms,
        "the index names a tensor that no shard has",
        "are named in the index, and no shard has them",
        "remove the entry from the index; a repaired copy has an index without it");
    add("index_wrong_file",
        faults.misplaced,
        "the index puts a tensor into a shard that does not have it, another has",
        "are put into shards by the index that do not have them, others have",
        "correct the index; a repaired copy has a correct one");
    add("unindexed_tensors",
        faults.unnamed,
        "a tensor is in a shard, but the index does not name it",
        "are in the shards, but the index does not name them",
        "correct the index: loaders do not find these; a repaired copy has a correct one");
    if (index.total_size && *index.total_size != checkpoint.tensor_bytes()) {
        findings.push_back(
            make_finding("index_total_size",
                         Severity::note,
                         {},
                         format("the index says total_size {}, the tensors have {} bytes",
                                *index.total_size,
                                checkpoint.tensor_bytes())));
    }
    return faults.is_empty();
}

}  // namespace anamnesis::checkpoint
