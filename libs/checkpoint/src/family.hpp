// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

/// How a family stands in for a config.json that is missing, where its softmax layers are
/// `self_attn` with separate projections.
struct NamelessForm {
    std::uint32_t query_parts = 1;  ///< 2: q_proj holds gates as well
    bool has_gains = true;          ///< QK-norm gains tell the head size
    /// Ends of tensor names that tell the family; empty: it must be stated.
    std::vector<std::string_view> signs{};
    std::vector<std::string_view> counter_signs{};  ///< ends of names that it does not have
    /// Beginnings of all names within layers, where the signs alone do not tell.
    std::vector<std::string_view> only_parts{};
    /// Config keys that names and shapes do not tell, as every released checkpoint has them.
    std::string_view config = "{}";
};

/// What the library's config class fills in where a config does not say it.
/// Source: the config classes of transformers 5.24.
struct ConfigDefaults {
    double norm_eps = 1e-6;
    std::uint32_t context_length = 32'768;
};

/// A family: which model_types it has, which layers a config of it describes, what their softmax
/// attention looks like in the file, and, where the family runs, everything else.
struct Family {
    std::string_view name;
    std::vector<std::string_view> model_types;
    std::string_view evidence;
    std::vector<Layer> (*read_layers)(const ConfigReader&) = nullptr;
    /// Fills in heads, positions and the rules of softmax attention.
    void (*plan_attention)(Blueprint&, const ConfigReader&) = nullptr;
    /// Fills in what each layer computes, and every tensor; null: the family does not run.
    void (*plan_layers)(Blueprint&, const ConfigReader&) = nullptr;
    /// Classes of remote code that share a model_type with another family.
    std::vector<std::string_view> classes{};
    std::optional<NamelessForm> nameless{};
    ConfigDefaults defaults{};
};

/// Every file of src/families, one function each; the build writes the list.
std::vector<Family> make_families();

/// All families, made once.
const std::vector<Family>& all_families();

/// By family name or model_type; null where none fits.
const Family* find_family(std::string_view name);

/// The family that a config describes.
/// Errors: `unsupported`, naming the model_type, the nearest family and the way out.
const Family& recognise_family(const ConfigReader& config);

/// `model_type` as config.json has it; empty where there is none.
std::string read_model_type(const Json& config);

/// The error for a family that nothing here knows.
[[noreturn]] void refuse_family(std::string_view name);

/// Fills in `by_name`, once all tensors are listed.
void sort_names(Blueprint& blueprint);

Blueprint make_blueprint(const Family& family,
                         const ConfigReader& config,
                         const BlueprintOptions& options = {});

}  // namespace anamnesis::checkpoint
