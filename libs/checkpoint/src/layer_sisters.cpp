// SPDX-License-Identifier: Apache-2.0
#include "layer_sisters.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "model_warnings.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Components below a module, without repeats.
using Children = std::set<std::string, std::less<>>;

bool is_number(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
}

/// "layers.3.mlp" gives "layers.#.mlp".
std::string find_kind(std::string_view module) {
    std::string kind;
    for (const std::string& part : split(module, '.')) {
        kind += (kind.empty() ? "" : ".") + (is_number(part) ? std::string("#") : part);
    }
    return kind;
}

/// What every module within the layers has below it.
std::map<std::string, Children> list_modules(const TensorNames& names) {
    std::map<std::string, Children> modules;
    for (const auto& [name, entries] : names.by_name()) {
        const auto numbered = find_numbered(name);
        if (!numbered || find_weight_of_scale(name)) {
            continue;
        }
        const std::size_t head = name.size() - numbered->rest.size();
        for (std::size_t dot = head - 1; dot != std::string::npos; dot = name.find('.', dot + 1)) {
            const std::size_t end = std::min(name.find('.', dot + 1), name.size());
            modules[name.substr(0, dot)].insert(name.substr(dot + 1, end - dot - 1));
        }
    }
    return modules;
}

/// Blocks that layers share are stored with some layers alone.
bool may_be_left_out(std::string_view child) {
    return child == "shared_transformer" || child == "bias" || is_number(child);
}

/// The children that most modules of one kind have together; empty where they differ too much.
Children find_usual(const std::vector<const Children*>& modules) {
    std::map<Children, std::size_t> counts;
    for (const Children* children : modules) {
        ++counts[*children];
    }
    const auto most =
        std::ranges::max_element(counts, {}, [](const auto& item) { return item.second; });
    return 2 * most->second > modules.size() ? most->first : Children{};
}

/// The tensors of `module`.`child`, named after those of a module of the same kind that has them.
void append_names(const TensorNames& names,
                  const std::map<std::string, Children>& modules,
                  const std::string& module,
                  const std::string& child,
                  std::vector<std::string>& missing) {
    const std::string kind = find_kind(module);
    const auto sister = std::ranges::find_if(modules, [&](const auto& item) {
        return item.second.contains(child) && find_kind(item.first) == kind;
    });
    const std::string prefix = format("{}.{}", sister->first, child);
    for (auto name = names.by_name().lower_bound(prefix);
         name != names.by_name().end() && name->first.starts_with(prefix);
         ++name) {
        const std::string rest = name->first.substr(prefix.size());
        if ((rest.empty() || rest.front() == '.') && !find_weight_of_scale(name->first)) {
            missing.push_back(names.full_name(format("{}.{}{}", module, child, rest)));
        }
    }
}

}  // namespace

void find_missing_sisters(const TensorNames& names, Model& model) {
    const auto modules = list_modules(names);
    std::map<std::string, std::vector<const Children*>> kinds;
    for (const auto& [module, children] : modules) {
        kinds[find_kind(module)].push_back(&children);
    }
    std::map<std::string, Children> usual;
    for (const auto& [kind, members] : kinds) {
        usual[kind] = find_usual(members);
    }
    std::vector<std::string> missing;
    for (const auto& [module, children] : modules) {
        const Children& expected = usual[find_kind(module)];
        if (!std::ranges::includes(expected, children)) {
            continue;
        }
        for (const std::string& child : expected) {
            if (!children.contains(child) && !may_be_left_out(child)) {
                append_names(names, modules, module, child, missing);
            }
        }
    }
    if (!missing.empty()) {
        model.findings.push_back(make_finding(
            "missing_tensors",
            Severity::error,
            missing,
            format("the checkpoint lacks {} {}, which the same modules of other layers have",
                   missing.size() == 1 ? "tensor" : "tensors",
                   list_examples(missing)),
            "loaders fill what is missing with random values: fetch or save the checkpoint again"));
    }
    const bool has_layers = !names.layers().empty();
    const bool has_final_norm = std::ranges::any_of(names.by_name(), [](const auto& item) {
        const std::string_view name = item.first;
        return !find_numbered(name) && !name.starts_with("mtp.") &&
               (name.starts_with("norm") || name.starts_with("ln_f") ||
                name.starts_with("final_") || name.starts_with("embedding_norm") ||
                name.starts_with("output_norm") || name.starts_with("token_embd_norm"));
    });
    if (has_layers && !has_final_norm) {
        model.findings.push_back(make_finding(
            "missing_final_norm",
            Severity::warning,
            {},
            "the checkpoint has no final norm (model.norm.weight or the like): loaders fill it"));
    }
    if (has_layers && find_embedding(names) == nullptr) {
        model.findings.push_back(make_finding(
            "missing_embedding", Severity::warning, {}, "the checkpoint has no token embedding"));
    }
}

}  // namespace anamnesis::checkpoint
