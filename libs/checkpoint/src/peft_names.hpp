// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace anamnesis::checkpoint {

/// What the names of every tensor begin with that PEFT saves.
inline constexpr std::string_view peft_prefix = "base_model.model.";

/// A name without what PEFT puts around base modules.
inline std::string without_base_layer(std::string_view name) {
    std::string base(name);
    constexpr std::string_view wrapper = ".base_layer.";
    if (const std::size_t at = base.find(wrapper); at != std::string::npos) {
        base.replace(at, wrapper.size(), ".");
    }
    return base;
}

}  // namespace anamnesis::checkpoint
