// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "family.hpp"

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

std::string word_at(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value == nullptr || value->is_null()
               ? std::string()
               : value->as_string(format("config key {}", in_quotes(key)));
}

const Family* find_by_class(const ConfigReader& config) {
    const auto classes = config.find_words("architectures");
    if (!classes) {
        return nullptr;
    }
    for (const Family& family : all_families()) {
        for (const std::string_view name : family.classes) {
            if (std::ranges::find(*classes, name) != classes->end()) {
                return &family;
            }
        }
    }
    return nullptr;
}

}  // namespace

const std::vector<Family>& all_families() {
    static const std::vector<Family> all = make_families();
    return all;
}

const Family* find_family(std::string_view name) {
    for (const Family& family : all_families()) {
        if (family.name == name ||
            std::ranges::find(family.model_types, name) != family.model_types.end()) {
            return &family;
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
        for (const Family& family : all_families()) {
            names.insert(names.end(), family.model_types.begin(), family.model_types.end());
        }
        if (const auto nearest = find_nearest(name, names); !name.empty() && nearest) {
            message += format("; the nearest known one is {}", in_quotes(*nearest));
        }
    }
    throw Error(ErrorKind::unsupported,
                message + "; describe its rows with --routing FILE, see docs/routing-file.md");
}

std::string read_model_type(const Json& config) {
    return word_at(config, "model_type");
}

const Family& recognise_family(const ConfigReader& config) {
    if (const Family* family = find_by_class(config)) {
        return *family;
    }
    const std::string outer = read_model_type(config.root());
    if (const Family* family = find_family(outer)) {
        return *family;
    }
    // A wrapper of another name (LLaVA and the like) may hold a text model that is known.
    if (const Json* text = config.root().find("text_config")) {
        const std::string inner = read_model_type(*text);
        if (const Family* family = find_family(inner)) {
            return *family;
        }
        if (outer.empty()) {
            refuse_family(inner);
        }
    }
    refuse_family(outer);
}

std::vector<std::string> known_families() {
    std::vector<std::string> families;
    for (const Family& family : all_families()) {
        families.emplace_back(family.name);
    }
    std::ranges::sort(families);
    return families;
}

std::vector<std::string> families_that_run() {
    std::vector<std::string> names;
    for (const Family& family : all_families()) {
        if (family.plan_layers != nullptr) {
            names.emplace_back(family.name);
        }
    }
    std::ranges::sort(names);
    return names;
}

std::vector<Layer> layers_of_config(const Json& config) {
    static_cast<void>(config.as_object("config.json"));
    const ConfigReader reader(config);
    return recognise_family(reader).read_layers(reader);
}

}  // namespace anamnesis::checkpoint
