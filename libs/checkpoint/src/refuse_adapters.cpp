// SPDX-License-Identifier: Apache-2.0
#include "refuse_adapters.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::checkpoint {
namespace {

/// How components begin that only adapters have (PEFT's LoRA and DoRA, LoHa, LoKr, IA3, OFT, VeRA,
/// BOFT, LoRA of Diffusers).
constexpr std::array<std::string_view, 14> adapter_parts{"lora_A",
                                                         "lora_B",
                                                         "lora_a",
                                                         "lora_b",
                                                         "lora_E",
                                                         "lora_embedding_",
                                                         "lora_magnitude_vector",
                                                         "lora_up",
                                                         "lora_down",
                                                         "hada_w",
                                                         "lokr_w",
                                                         "ia3_l",
                                                         "vera_lambda_",
                                                         "boft_"};
constexpr std::array<std::string_view, 5> adapter_words{
    "oft_r", "oft_R", "prompt_embeddings", "modules_to_save", "randlora_lambda"};

bool is_adapter_part(std::string_view part) {
    return std::ranges::any_of(adapter_parts,
                               [&](std::string_view start) { return part.starts_with(start); }) ||
           std::ranges::find(adapter_words, part) != adapter_words.end();
}

}  // namespace

bool has_adapter_part(std::string_view name) {
    // No split for the names of ordinary tensors: a large checkpoint has 100,000 of them.
    constexpr std::array<std::string_view, 8> hints{
        "lora", "hada_", "lokr_", "ia3_", "oft_", "vera_", "prompt_", "modules_to_save"};
    return std::ranges::any_of(
               hints,
               [&](std::string_view hint) { return name.find(hint) != std::string_view::npos; }) &&
           std::ranges::any_of(split(name, '.'), is_adapter_part);
}

namespace {

constexpr std::string_view what_to_do =
    "give it as --post of 'restore' with its base as --pre, which repairs the adapter itself, or "
    "as --adapter, which merges it into the base and repairs the result; to run it, give it as "
    "--adapter beside --model BASE";

}  // namespace

void refuse_adapter_folder(const std::filesystem::path& folder, const std::string& file) {
    throw Error(ErrorKind::unsupported,
                format("folder {} holds a LoRA adapter ({}), not a checkpoint: {}",
                       in_quotes(folder.string(), 1000),
                       in_quotes(file),
                       what_to_do));
}

void refuse_adapters(const Checkpoint& checkpoint) {
    std::vector<std::string> adapters;
    const std::string* other = nullptr;
    const std::string* base_layer = nullptr;
    for (const TensorEntry& tensor : checkpoint.tensors()) {
        if (has_adapter_part(tensor.name)) {
            adapters.push_back(tensor.name);
        } else {
            other = &tensor.name;
            if (tensor.name.find(".base_layer.") != std::string::npos ||
                tensor.name.find(".original_module.") != std::string::npos) {
                base_layer = &tensor.name;
            }
        }
    }
    if (adapters.empty()) {
        return;
    }
    std::error_code ignored;
    const bool has_adapter_config =
        std::filesystem::exists(checkpoint.folder() / "adapter_config.json", ignored);
    const std::size_t others = checkpoint.tensors().size() - adapters.size();
    // Adapters may hold whole copies of a few modules (embedding, head) beside their own tensors.
    if (other == nullptr ||
        (has_adapter_config && others < adapters.size() && base_layer == nullptr && others <= 4)) {
        throw Error(
            ErrorKind::unsupported,
            format("{} holds a LoRA adapter ({}{} of its {} tensors are those of an adapter, such "
                   "as {}), not a checkpoint: {}",
                   in_quotes(checkpoint.path().string(), 1000),
                   has_adapter_config ? "adapter_config.json is there, " : "",
                   other == nullptr ? std::string("all") : format("{}", adapters.size()),
                   checkpoint.tensors().size(),
                   in_quotes(adapters.front()),
                   format("{}, then {}",
                          checkpoint.gguf() != nullptr
                              ? "write the key general.type \"adapter\" into its metadata, as "
                                "llama.cpp's convert_lora_to_gguf does"
                              : "call its file adapter_model.safetensors",
                          what_to_do)));
    }
    throw Error(ErrorKind::unsupported,
                format("this checkpoint holds LoRA weights that are not merged: {} tensors such as "
                       "{} beside {}: merge first (merge_and_unload of PEFT, then "
                       "save_pretrained), or give the base and the adapter merged",
                       adapters.size(),
                       list_examples({adapters.front()}),
                       in_quotes(base_layer != nullptr ? *base_layer : *other)));
}

}  // namespace anamnesis::checkpoint
