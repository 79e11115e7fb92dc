// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "blueprint.hpp"

namespace anamnesis::checkpoint {

/// A family: which model_types it has, which layers a config of it describes, and what their
/// softmax attention looks like in the file.
struct Architecture {
    std::string_view family;
    std::vector<std::string_view> model_types;
    std::string_view evidence;
    std::vector<Layer> (*layers_of)(const ConfigReader&) = nullptr;
    /// Fills in everything but family, evidence and layers, which are there already.
    void (*describe)(Blueprint&, const ConfigReader&) = nullptr;
    /// Classes of remote code that share a model_type with another family.
    std::vector<std::string_view> classes{};
};

/// Families of one kind; one small file of src/architectures each.
std::span<const Architecture> plain_architectures();
std::span<const Architecture> gemma_architectures();
std::span<const Architecture> fused_architectures();
std::span<const Architecture> latent_architectures();
std::span<const Architecture> delta_architectures();
std::span<const Architecture> state_space_architectures();
std::span<const Architecture> other_hybrid_architectures();

/// By family name or model_type; null where none fits.
const Architecture* find_architecture(std::string_view name);

/// The family that a config describes.
/// Errors: `unsupported`, naming the model_type, the nearest family and the way out.
const Architecture& architecture_of(const ConfigReader& config);

/// `model_type` as config.json has it; empty where there is none.
std::string model_type_of(const Json& config);

/// The error for a family that nothing here knows.
[[noreturn]] void refuse_family(std::string_view name);

Blueprint make_blueprint(const Architecture& architecture, const ConfigReader& config);

}  // namespace anamnesis::checkpoint
