// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/output_checks.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "parent_folder.hpp"

namespace anamnesis::io {
namespace {

namespace fs = std::filesystem;

/// Hard links and symbolic ones to one file are the same.
bool is_same(const fs::path& one, const fs::path& other) {
    std::error_code ignored;
    return fs::equivalent(one, other, ignored);
}

/// Both without links and "..".
bool lies_in(const fs::path& path, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
           folder.end();
}

/// "m-00001-of-00002.gguf" gives "m-#-of-00002.gguf", the name of its set; others nothing.
std::string find_set(const fs::path& path) {
    constexpr std::string_view middle = "-of-";
    constexpr std::string_view digits = "0123456789";
    const std::string name = path.filename().string();
    const std::size_t at = name.rfind(middle);
    if (at == std::string::npos ||
        (path.extension() != ".gguf" && path.extension() != ".safetensors")) {
        return {};
    }
    const std::size_t before = name.find_last_not_of(digits, at - 1);
    return before == std::string::npos || before + 1 >= at || name[before] != '-'
               ? std::string()
               : name.substr(0, before + 1) + "#" + name.substr(at);
}

/// One file of a set of weights stands for all of it.
bool is_of_set(const fs::path& target, const fs::path& input) {
    const std::string set = find_set(target);
    return !set.empty() && set == find_set(input) &&
           is_same(parent_folder(target), parent_folder(input));
}

bool is_in_folder(const fs::path& target, const fs::path& input) {
    std::error_code error;
    const fs::path folder = fs::canonical(input, error);
    if (error) {
        return false;
    }
    // Where the name is, and where it leads to.
    const fs::path place = fs::weakly_canonical(parent_folder(target), error);
    const fs::path file = fs::weakly_canonical(target, error);
    if (lies_in(place, folder) || lies_in(file, folder)) {
        return true;
    }
    // In a hub cache the names of a folder are links to files elsewhere.
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
        if (is_same(entry.path(), target)) {
            return true;
        }
    }
    return false;
}

bool is_of_input(const fs::path& target, const fs::path& input) {
    std::error_code ignored;
    return is_same(target, input) || (fs::is_directory(input, ignored) ? is_in_folder(target, input)
                                                                       : is_of_set(target, input));
}

}  // namespace

void refuse_to_replace_input(std::string_view option,
                             const fs::path& target,
                             const std::vector<fs::path>& inputs) {
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(target, ignored))) {
        return;
    }
    for (const fs::path& input : inputs) {
        if (!input.empty() && is_of_input(target, input)) {
            throw Error(ErrorKind::usage,
                        format("{} {} would replace an input of this command: it is {} or a file "
                               "of it; name another file",
                               option,
                               in_quotes(target.string(), 1000),
                               in_quotes(input.string(), 1000)));
        }
    }
}

void refuse_checkpoint_folder(const fs::path& folder) {
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
        const fs::path name = entry.path().filename();
        const fs::path extension = name.extension();
        if (name == "config.json" || name == "adapter_config.json" || extension == ".safetensors" ||
            extension == ".gguf") {
            throw Error(ErrorKind::usage,
                        format("{} is the folder of a checkpoint or of weights (it holds {}), and "
                               "results do not go into it; name a folder of their own with --out",
                               in_quotes(folder.string(), 1000),
                               in_quotes(name.string())));
        }
    }
}

void require_new_folder(const fs::path& folder, std::string_view command) {
    refuse_checkpoint_folder(folder);
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with('.')) {
            throw Error(ErrorKind::usage,
                        format("{} is not empty (it holds {}) and is not a folder that '{}' has "
                               "made; name a new one with --out",
                               in_quotes(folder.string(), 1000),
                               in_quotes(name),
                               command));
        }
    }
}

void require_working_folder() {
    std::error_code error;
    static_cast<void>(fs::current_path(error));
    if (error) {
        throw Error(ErrorKind::io,
                    format("the working folder cannot be read ({}): it was removed, or made anew "
                           "under the same name; change into a folder that is there",
                           error.message()));
    }
}

}  // namespace anamnesis::io
