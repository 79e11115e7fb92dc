// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/adapter_names.hpp"

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

#include "peft_names.hpp"
#include "wrappers.hpp"

namespace anamnesis::checkpoint {
namespace {

/// The name of a tensor without what PEFT puts around modules.
std::string without_peft(std::string_view name) {
    return without_base_layer(name.starts_with(peft_prefix) ? name.substr(peft_prefix.size())
                                                            : name);
}

}  // namespace

std::string explain_adapter_name(std::string_view name) {
    // Names of llama.cpp have nothing of PEFT's.
    if (name.starts_with("blk.") || name.ends_with(".lora_a") || name.ends_with(".lora_b")) {
        return {};
    }
    if (name.find(".lora_A.default.") != std::string::npos ||
        name.find(".lora_B.default.") != std::string::npos) {
        return "these are the names of a model in memory (state_dict()): save the adapter with "
               "save_pretrained, or take '.default' out of them";
    }
    if (!name.starts_with(peft_prefix) && name.find(peft_prefix) != std::string::npos) {
        return format("training code put {} before PEFT's names: take it away",
                      in_quotes(name.substr(0, name.find(peft_prefix))));
    }
    if (name.find("_checkpoint_wrapped_module.") != std::string::npos ||
        name.find("_fsdp_wrapped_module.") != std::string::npos ||
        name.find("_orig_mod.") != std::string::npos) {
        return "training code left its wrappers in the names: take them out, or save the adapter "
               "with save_pretrained of the unwrapped model";
    }
    if (!name.starts_with(peft_prefix) && name.find(".lora_") != std::string::npos) {
        return format("PEFT's names begin with {}: put it before them", in_quotes(peft_prefix));
    }
    return {};
}

std::vector<Finding> find_wrapped_names(const Adapter& adapter) {
    std::vector<std::string> names;
    std::set<std::string> wrappers;
    for (const TensorEntry& tensor : adapter.weights.tensors()) {
        if (collect_wrappers(without_peft(tensor.name), wrappers)) {
            names.push_back(tensor.name);
        }
    }
    if (names.empty()) {
        return {};
    }
    return {make_wrapped_names(names,
                               wrappers,
                               "take them out of the names, or save the adapter with "
                               "save_pretrained of the unwrapped model")};
}

}  // namespace anamnesis::checkpoint
