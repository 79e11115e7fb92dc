// SPDX-License-Identifier: Apache-2.0
#include "side_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 12> weight_suffixes{".safetensors",
                                                           ".bin",
                                                           ".pt",
                                                           ".pth",
                                                           ".ckpt",
                                                           ".gguf",
                                                           ".ggml",
                                                           ".onnx",
                                                           ".h5",
                                                           ".msgpack",
                                                           ".npz",
                                                           ".tflite"};

bool is_weight_file(const fs::path& name) {
    const std::string text = name.string();
    return std::ranges::any_of(weight_suffixes,
                               [&](std::string_view suffix) { return text.ends_with(suffix); });
}

bool is_skipped_folder(const std::string& name) {
    return name == ".git" || name == ".cache" || name == "__pycache__" ||
           name.starts_with("checkpoint-") || name.starts_with("global_step") || name == "runs" ||
           name == "wandb";
}

bool is_own_file(const std::string& name) {
    return name == receipt_name || name == undo_name || name.find(".partial-") != std::string::npos;
}

void collect(const fs::path& root,
             const fs::path& relative,
             const std::set<std::string>& weights,
             SideFiles& result) {
    std::error_code error;
    fs::directory_iterator entries(root / relative, error);
    if (error) {
        throw io_error(format("reading folder {}", in_quotes((root / relative).string(), 1000)),
                       error.value());
    }
    for (const auto& entry : entries) {
        const std::string name = entry.path().filename().string();
        const fs::path path = relative / name;
        std::error_code ignored;
        const auto status = fs::status(entry.path(), ignored);
        if (fs::is_directory(status)) {
            if (is_skipped_folder(name) || entry.is_symlink(ignored)) {
                result.notes.push_back(format("folder {} was left out", in_quotes(path.string())));
            } else {
                collect(root, path, weights, result);
            }
        } else if (!fs::is_regular_file(status)) {
            result.notes.push_back(
                format("{} is no regular file and was left out", in_quotes(path.string())));
        } else if (relative.empty() && (weights.contains(name) || is_own_file(name))) {
            continue;
        } else if (is_weight_file(name)) {
            result.notes.push_back(
                format("{} holds other weights or state, which were not "
                       "repaired, and was left out",
                       in_quotes(path.string())));
        } else {
            result.files.push_back({path, fs::file_size(entry.path(), ignored)});
        }
    }
}

}  // namespace

SideFiles find_side_files(const checkpoint::Checkpoint& checkpoint) {
    SideFiles result;
    std::set<std::string> weights;
    for (const auto& file : checkpoint.files()) {
        weights.insert(file.path().filename().string());
    }
    if (checkpoint.is_single_file()) {
        std::error_code ignored;
        const fs::path config = checkpoint.folder() / "config.json";
        if (fs::is_regular_file(config, ignored)) {
            result.files.push_back({"config.json", fs::file_size(config, ignored)});
        }
        return result;
    }
    collect(checkpoint.folder(), {}, weights, result);
    std::ranges::sort(result.files, {}, &SideFiles::File::relative);
    std::ranges::sort(result.notes);
    return result;
}

std::string model_card_section(const Json& receipt) {
    const Json& request = receipt.at("request");
    std::string text = "\n\n## Repaired with Anamnesis\n\n";
    text += format(
        "Method `{}`: the routing rows listed in `{}` come from `{}`, everything else "
        "from `{}`.\n\n",
        request.at("method").as_string("method"),
        receipt_name,
        fs::path(receipt.at("pre").at("path").as_string("path")).filename().string(),
        fs::path(receipt.at("post").at("path").as_string("path")).filename().string());
    text += "| layer | part | drift before | drift after |\n|---|---|---|---|\n";
    for (const Json& row : receipt.at("drift").as_array("drift")) {
        const Json& layer = row.at("layer");
        text += format("| {} | {} | {:.4g} | {:.4g} |\n",
                       layer.is_null() ? std::string("-") : layer.dump(),
                       row.at("part").as_string("part"),
                       row.at("drift_before").as_double("drift"),
                       row.at("drift_after").as_double("drift"));
    }
    return text;
}

}  // namespace anamnesis::restore
