// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"

namespace anamnesis::checkpoint {
namespace {

struct Refusal {
    std::string_view model_type;
    std::string_view reason;
};

/// Known by name, but their rows cannot be stated.
constexpr std::array refusals{
    Refusal{"gpt2", "its projections are stored [in, out], so queries and keys are columns"},
    Refusal{"phi4flash",
            "differential attention pairs its heads, and cross-attention layers reuse keys of "
            "another layer"},
};

const std::vector<const Architecture*>& all_architectures() {
    static const std::vector<const Architecture*> all = [] {
        std::vector<const Architecture*> list;
        for (const std::span<const Architecture> group : {plain_architectures(),
                                                          gemma_architectures(),
                                                          fused_architectures(),
                                                          latent_architectures(),
                                                          delta_architectures(),
                                                          state_space_architectures(),
                                                          other_hybrid_architectures()}) {
            for (const Architecture& architecture : group) {
                list.push_back(&architecture);
            }
        }
        return list;
    }();
    return all;
}

std::string word_at(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value == nullptr || value->is_null()
               ? std::string()
               : value->as_string(format("config key {}", in_quotes(key)));
}

const Architecture* find_by_class(const ConfigReader& config) {
    const auto classes = config.find_words("architectures");
    if (!classes) {
        return nullptr;
    }
    for (const Architecture* architecture : all_architectures()) {
        for (const std::string_view name : architecture->classes) {
            if (std::ranges::find(*classes, name) != classes->end()) {
                return architecture;
            }
        }
    }
    return nullptr;
}

}  // namespace

const Architecture* find_architecture(std::string_view name) {
    for (const Architecture* architecture : all_architectures()) {
        if (architecture->family == name ||
            std::ranges::find(architecture->model_types, name) != architecture->model_types.end()) {
            return architecture;
        }
    }
    return nullptr;
}

void refuse_family(std::string_view name) {
    std::string message = name.empty() ? std::string("config.json has no model_type")
                                       : format("the family {} is not known", in_quotes(name));
    const auto* const refusal = std::ranges::find(refusals, name, &Refusal::model_type);
    if (refusal != refusals.end()) {
        message = format("the family {} is not supported: {}", in_quotes(name), refusal->reason);
    } else {
        std::vector<std::string> names;
        for (const Architecture* architecture : all_architectures()) {
            names.insert(
                names.end(), architecture->model_types.begin(), architecture->model_types.end());
        }
        if (const auto nearest = find_nearest(name, names); !name.empty() && nearest) {
            message += format("; the nearest known one is {}", in_quotes(*nearest));
        }
    }
    throw Error(ErrorKind::unsupported,
                message + "; describe its rows with --routing FILE, see docs/routing-file.md");
}

std::string model_type_of(const Json& config) {
    return word_at(config, "model_type");
}

const Architecture& architecture_of(const ConfigReader& config) {
    if (const Architecture* architecture = find_by_class(config)) {
        return *architecture;
    }
    const std::string outer = model_type_of(config.root());
    if (const Architecture* architecture = find_architecture(outer)) {
        return *architecture;
    }
    // A wrapper of another name (LLaVA and the like) may hold a text model that is known.
    if (const Json* text = config.root().find("text_config")) {
        const std::string inner = model_type_of(*text);
        if (const Architecture* architecture = find_architecture(inner)) {
            return *architecture;
        }
        if (outer.empty()) {
            refuse_family(inner);
        }
    }
    refuse_family(outer);
}

Blueprint make_blueprint(const Architecture& architecture, const ConfigReader& config) {
    Blueprint blueprint;
    blueprint.family = architecture.family;
    blueprint.evidence = architecture.evidence;
    blueprint.layers = architecture.layers_of(config);
    architecture.describe(blueprint, config);
    return blueprint;
}

std::vector<std::string> known_families() {
    std::vector<std::string> families;
    for (const Architecture* architecture : all_architectures()) {
        families.emplace_back(architecture->family);
    }
    std::ranges::sort(families);
    return families;
}

std::vector<Layer> layers_of_config(const Json& config) {
    static_cast<void>(config.as_object("config.json"));
    const ConfigReader reader(config);
    return architecture_of(reader).layers_of(reader);
}

}  // namespace anamnesis::checkpoint
