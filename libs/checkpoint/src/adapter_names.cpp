// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/adapter_names.hpp"

#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"

namespace anamnesis::checkpoint {

std::string explain_adapter_name(std::string_view name) {
    constexpr std::string_view peft = "base_model.model.";
    if (name.find(".lora_A.default.") != std::string::npos ||
        name.find(".lora_B.default.") != std::string::npos) {
        return "these are the names of a model in memory (state_dict()): save the adapter with "
               "save_pretrained, or take '.default' out of them";
    }
    if (!name.starts_with(peft) && name.find(peft) != std::string::npos) {
        return format("training code put {} before PEFT's names: take it away",
                      in_quotes(name.substr(0, name.find(peft))));
    }
    if (name.find("_checkpoint_wrapped_module.") != std::string::npos ||
        name.find("_fsdp_wrapped_module.") != std::string::npos ||
        name.find("_orig_mod.") != std::string::npos) {
        return "training code left its wrappers in the names: take them out, or save the adapter "
               "with save_pretrained of the unwrapped model";
    }
    if (!name.starts_with(peft) && name.find(".lora_") != std::string::npos) {
        return format("PEFT's names begin with {}: put it before them", in_quotes(peft));
    }
    return {};
}

}  // namespace anamnesis::checkpoint
