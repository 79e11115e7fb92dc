// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/adapter.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/foreign_file.hpp"
#include "anamnesis/io/file.hpp"

#include "gguf_adapter.hpp"
#include "peft_names.hpp"
#include "refuse_adapters.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";
constexpr const char* index_name = "adapter_model.safetensors.index.json";

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

std::string quoted(const fs::path& path) {
    return in_quotes(path.string(), 1000);
}

bool is_shard(const fs::path& path) {
    return path.filename().string().starts_with("adapter_model-") &&
           path.extension() == ".safetensors";
}

/// A folder whose weights lie in several files, or say so. Beside a whole file others are copies.
bool has_shards(const fs::path& folder) {
    std::error_code ignored;
    return is_there(folder / index_name) ||
           (!is_there(folder / weights_name) &&
            std::ranges::any_of(fs::directory_iterator(folder, ignored), is_shard));
}

Checkpoint open_weights(const fs::path& path) {
    std::error_code ignored;
    if (!is_there(path)) {
        throw Error(ErrorKind::not_found, format("{} does not exist", quoted(path)));
    }
    if (!fs::is_directory(path, ignored)) {
        // A shard alone has a part of the modules.
        return is_shard(path) ? open_weights(path.has_parent_path() ? path.parent_path() : ".")
                              : Checkpoint::open(path);
    }
    if (has_shards(path)) {
        if (!is_there(path / index_name)) {
            throw Error(ErrorKind::not_found,
                        format("the LoRA adapter {} has shards and no {}, which says what is in "
                               "each; copy it too, or save the adapter again with PEFT",
                               quoted(path),
                               index_name));
        }
        return Checkpoint::open(path / index_name);
    }
    if (is_there(path / weights_name)) {
        return Checkpoint::open(path / weights_name);
    }
    for (const char* pickle : {"adapter_model.bin", "adapter_model.pt"}) {
        if (is_there(path / pickle)) {
            throw Error(ErrorKind::unsupported,
                        format("the LoRA adapter {} is a pickle, which may run any code when it is "
                               "read; load it with PEFT and save it again, which writes {}",
                               quoted(path / pickle),
                               weights_name));
        }
    }
    throw Error(
        ErrorKind::not_found,
        format("folder {} has no {}: it is no adapter of PEFT", quoted(path), weights_name));
}

AdapterConfig read_config(const fs::path& folder) {
    const fs::path path = folder / config_name;
    if (!is_there(path)) {
        throw Error(ErrorKind::not_found,
                    format("{} is missing: without it nothing tells the strength of the adapter",
                           quoted(path)));
    }
    return in_context([&] { return format("reading {}", quoted(path)); },
                      [&] {
                          const std::string text = io::read_text(path);
                          if (const auto foreign = formats::describe_foreign_bytes(text)) {
                              throw Error(ErrorKind::malformed, format("it is {}", *foreign));
                          }
                          return parse_adapter_config(std::string_view(text));
                      });
}

/// The part of a pair that a suffix stands for.
struct Part {
    std::string_view suffix;
    const TensorEntry* AdapterModule::* member;
    bool is_embedding = false;
};
constexpr std::array parts{
    Part{".lora_A.weight", &AdapterModule::a},
    Part{".lora_B.weight", &AdapterModule::b},
    Part{".lora_B.bias", &AdapterModule::bias},
    Part{".lora_magnitude_vector.weight", &AdapterModule::magnitude},
    Part{".lora_magnitude_vector", &AdapterModule::magnitude},
    Part{".lora_embedding_A", &AdapterModule::a, true},
    Part{".lora_embedding_B", &AdapterModule::b, true},
};

/// Sorts the tensors of an adapter by what they are.
class Sorter {
public:
    explicit Sorter(Adapter& adapter) : adapter_(adapter) {}

    void sort() {
        for (const TensorEntry& tensor : adapter_.weights.tensors()) {
            add(tensor);
        }
        for (auto& [path, module] : modules_) {
            adapter_.modules.push_back(std::move(module));
        }
    }

private:
    void add(const TensorEntry& tensor) {
        std::string_view name = tensor.name;
        if (!name.starts_with(peft_prefix)) {
            adapter_.unknown.push_back(tensor.name);
            return;
        }
        name.remove_prefix(peft_prefix.size());
        for (const Part& part : parts) {
            if (name.ends_with(part.suffix)) {
                add_part(tensor, name.substr(0, name.size() - part.suffix.size()), part);
                return;
            }
        }
        constexpr std::string_view tokens = ".token_adapter.trainable_tokens_delta";
        if (name.ends_with(tokens)) {
            add_rows(tensor, name.substr(0, name.size() - tokens.size()));
        } else if (has_adapter_part(tensor.name)) {
            adapter_.unknown.push_back(tensor.name);
        } else {
            const std::string base = without_base_layer(name);
            // Where biases are trained, that of a wrapped module has the name of a copy.
            const bool is_trained = adapter_.config.bias != "none" && base.ends_with(".bias");
            adapter_.saved.push_back({.tensor = &tensor,
                                      .name = base,
                                      .is_base_copy = base.size() != name.size() && !is_trained});
        }
    }

    void add_part(const TensorEntry& tensor, std::string_view path, const Part& part) {
        const auto [found, is_new] = modules_.try_emplace(std::string(path));
        AdapterModule& module = found->second;
        if (is_new) {
            module.path = path;
            module.is_embedding = part.is_embedding;
        }
        const bool is_pair = part.member == &AdapterModule::a || part.member == &AdapterModule::b;
        if (module.*part.member != nullptr ||
            (is_pair && module.is_embedding != part.is_embedding)) {
            adapter_.unknown.push_back(tensor.name);
        } else {
            module.*part.member = &tensor;
        }
    }

    void add_rows(const TensorEntry& tensor, std::string_view path) {
        for (const auto& [module, rows] : adapter_.config.token_indices) {
            if (path == module || path.ends_with("." + module)) {
                adapter_.saved.push_back(
                    {.tensor = &tensor, .name = format("{}.weight", path), .rows = rows});
                return;
            }
        }
        adapter_.unknown.push_back(tensor.name);
    }

    Adapter& adapter_;
    std::map<std::string, AdapterModule> modules_;
};

}  // namespace

bool is_adapter(const fs::path& path) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
        return path.filename() == weights_name || is_shard(path) || is_gguf_adapter(path);
    }
    const bool is_checkpoint =
        is_there(path / "model.safetensors") || is_there(path / "model.safetensors.index.json");
    return !is_checkpoint && (is_there(path / weights_name) || has_shards(path) ||
                              is_there(path / "adapter_model.bin") || is_there(path / config_name));
}

RecognisedCheckpoint view_for_adapter(const Adapter& adapter, RecognisedCheckpoint base) {
    return !adapter.is_gguf() && base.checkpoint.gguf() ? view_for_running(base.checkpoint)
                                                        : std::move(base);
}

Adapter open_adapter(const fs::path& path) {
    return in_context([&] { return format("opening adapter {}", quoted(path)); },
                      [&] {
                          if (is_gguf_adapter(path)) {
                              return open_gguf_adapter(path);
                          }
                          Adapter adapter{.path = path, .weights = open_weights(path)};
                          adapter.config = read_config(adapter.weights.folder());
                          Sorter(adapter).sort();
                          return adapter;
                      });
}

}  // namespace anamnesis::checkpoint
