// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/adapter_names.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

#include "adapter_targets.hpp"
#include "base_names.hpp"
#include "equal_values.hpp"
#include "family.hpp"
#include "file_faults.hpp"
#include "gguf_adapter.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::string_view weight_suffix = ".weight";

std::string quoted(const TensorEntry& tensor) {
    return in_quotes(tensor.name);
}

void append_names(const AdapterModule& module, std::vector<std::string>& names) {
    for (const TensorEntry* tensor : {module.a, module.b, module.bias, module.magnitude}) {
        if (tensor != nullptr) {
            names.push_back(tensor->name);
        }
    }
}

class Matcher {
public:
    Matcher(const Adapter& adapter, const RecognisedCheckpoint& base, PrefixRule rule)
        : adapter_(adapter), base_(base), names_(base, rule) {
        match_.adapter = &adapter;
        match_.base = &base;
    }

    AdapterMatch run() {
        match_.unmatched = adapter_.unknown;
        for (const AdapterModule& module : adapter_.modules) {
            if (adapter_.is_gguf()) {
                add_gguf(module);
            } else {
                add(module);
            }
        }
        for (const SavedTensor& saved : adapter_.saved) {
            add(saved);
        }
        note_prefixes();
        note_architecture();
        note_base();
        if (!adapter_.is_gguf()) {
            find_unfetched_side_files(adapter_.folder(), match_.findings);
        }
        std::ranges::move(find_wrapped_names(adapter_), std::back_inserter(match_.findings));
        std::ranges::move(find_target_findings(match_), std::back_inserter(match_.findings));
        return std::move(match_);
    }

private:
    void add(const AdapterModule& module) {
        const TensorEntry* weight = names_.find(module.path + std::string(weight_suffix));
        if (weight == nullptr) {
            append_names(module, is_tied_head(module.path) ? match_.untied : match_.unmatched);
            return;
        }
        if (module.a == nullptr || module.b == nullptr) {
            append_names(module, match_.halves);
            return;
        }
        MatchedModule matched{.module = &module, .weight = weight};
        const std::string stem = weight->name.substr(0, weight->name.size() - weight_suffix.size());
        matched.bias = base_.checkpoint.find(stem + ".bias");
        matched.attention = base_.model.find_attention(weight->name);
        find_layer_of(matched);
        if (!taken_.insert(weight).second) {
            problem(module,
                    format("another module of the adapter changes {} too", quoted(*weight)));
        } else if (check(module, *weight)) {
            const ModuleStrength strength = find_strength(adapter_.config, module.path);
            if (strength.rank != module.rank()) {
                problem(module,
                        format("the rank is {} in its tensors and {} by adapter_config.json (r and "
                               "rank_pattern)",
                               module.rank(),
                               strength.rank));
            }
            matched.scale = make_scale(adapter_.config, strength);
            match_.modules.push_back(std::move(matched));
        }
    }

    void add_gguf(const AdapterModule& module) {
        const GgufPlace place = find_gguf_place(base_, module.path);
        if (place.weight == nullptr && !place.is_elsewhere) {
            append_names(module, match_.unmatched);
        } else if (module.a == nullptr || module.b == nullptr) {
            append_names(module, match_.halves);
        } else if (place.weight == nullptr) {
            match_.others.insert(match_.others.end(), {module.a, module.b});
        } else if (check_gguf(module, *place.weight)) {
            const ModuleStrength strength{.rank = static_cast<std::uint32_t>(module.rank()),
                                          .alpha = adapter_.config.alpha};
            MatchedModule matched{.module = &module,
                                  .weight = place.weight,
                                  .attention = place.attention,
                                  .scale = make_scale(adapter_.config, strength)};
            find_layer_of(matched);
            match_.modules.push_back(std::move(matched));
        }
    }

    bool check_gguf(const AdapterModule& module, const TensorEntry& weight) {
        const Shape& a = module.a->shape;
        const Shape& b = module.b->shape;
        const bool fits = a.size() == 2 && b.size() == 2 && a[0] == b[1] && a[0] != 0 &&
                          weight.shape == Shape{b[0], a[1]};
        return fits || problem(module,
                               format("A has shape {}, B {} and {} of the base {}",
                                      anamnesis::to_string(a),
                                      anamnesis::to_string(b),
                                      quoted(weight),
                                      anamnesis::to_string(weight.shape)));
    }

    bool is_tied_head(const std::string& module) const {
        return base_.model.is_head_tied && (module == "lm_head" || module.ends_with(".lm_head"));
    }

    void find_layer_of(MatchedModule& matched) const {
        matched.layer = find_layer(matched.weight->name);
        if (matched.layer && matched.layer->value < base_.model.layers.size()) {
            matched.kinds = base_.model.layers[matched.layer->value].kinds;
        }
    }

    void add(const SavedTensor& saved) {
        const TensorEntry* base = names_.find(saved.name);
        if (base == nullptr) {
            const bool is_head = is_tied_head(saved.name.substr(0, saved.name.rfind('.')));
            if (is_head && repeats_embedding(saved)) {
                return;
            }
            (is_head ? match_.untied : match_.unmatched).push_back(saved.tensor->name);
            return;
        }
        if (!is_arithmetic(saved.tensor->dtype)) {
            match_.problems.push_back(format("tensor {} is {}, expected F32, F16 or BF16",
                                             quoted(*saved.tensor),
                                             anamnesis::to_string(saved.tensor->dtype)));
            return;
        }
        Shape expected = base->shape;
        if (saved.rows && !expected.empty()) {
            expected.front() = saved.rows->size();
        }
        if (saved.tensor->shape != expected) {
            misfit(format("tensor {} has shape {}, and {} of the base asks for {}",
                          quoted(*saved.tensor),
                          anamnesis::to_string(saved.tensor->shape),
                          quoted(*base),
                          anamnesis::to_string(expected)));
            return;
        }
        if (saved.rows && std::ranges::any_of(*saved.rows, [&](std::uint64_t row) {
                return row >= base->rows();
            })) {
            misfit(
                format("trainable_token_indices names rows that {} of the base, which has {}, "
                       "does not have",
                       quoted(*base),
                       base->rows()));
            return;
        }
        if (!saved.is_base_copy) {
            match_.saved.push_back({.saved = &saved, .base = base});
        } else if (!base->was_quantised && !have_equal_values(*saved.tensor, *base)) {
            misfit(
                format("tensor {} is the adapter's copy of {} of the base it was trained over, "
                       "and {} of this base has other values",
                       quoted(*saved.tensor),
                       in_quotes(saved.name),
                       quoted(*base)));
        }
    }

    /// With ensure_weight_tying PEFT saves the embedding a second time, as the head.
    bool repeats_embedding(const SavedTensor& head) const {
        return std::ranges::any_of(adapter_.saved, [&](const SavedTensor& other) {
            const TensorEntry* base = base_.checkpoint.find(other.name);
            return &other != &head && !other.rows && base != nullptr &&
                   classify_tensor(base_.model, base->name) == TensorGroup::embedding &&
                   have_equal_values(*head.tensor, *other.tensor);
        });
    }

    /// Whether the shapes allow to compute with the pair.
    bool check(const AdapterModule& module, const TensorEntry& weight) {
        for (const TensorEntry* tensor : {module.a, module.b, module.bias, module.magnitude}) {
            if (tensor != nullptr && !is_arithmetic(tensor->dtype)) {
                return problem(module,
                               format("tensor {} is {}, expected F32, F16 or BF16",
                                      quoted(*tensor),
                                      anamnesis::to_string(tensor->dtype)));
            }
        }
        const Shape& a = module.a->shape;
        const Shape& b = module.b->shape;
        if (a.size() != 2 || b.size() != 2 || weight.shape.size() != 2) {
            problem(module,
                    format("A has shape {}, B {} and the weight {}; only pairs of matrices on a "
                           "matrix are handled",
                           anamnesis::to_string(a),
                           anamnesis::to_string(b),
                           anamnesis::to_string(weight.shape)));
            return false;
        }
        if (a[0] != b[1] || a[0] == 0) {
            return problem(module,
                           format("A has shape {} and B {}: their ranks differ",
                                  anamnesis::to_string(a),
                                  anamnesis::to_string(b)));
        }
        // The product of an embedding is transposed: A has a column for each token.
        const std::uint64_t rows = module.is_embedding ? a[1] : b[0];
        const std::uint64_t columns = module.is_embedding ? b[0] : a[1];
        if (weight.shape != Shape{rows, columns}) {
            const bool is_turned = weight.shape == Shape{columns, rows};
            misfit(
                format("module {}: the product of B and A has shape {}, and {} of the base {}{}",
                       in_quotes(module.path),
                       anamnesis::to_string(Shape{rows, columns}),
                       quoted(weight),
                       anamnesis::to_string(weight.shape),
                       is_turned ? " (weights stored as inputs by outputs are not handled)" : ""));
            return false;
        }
        return check_vectors(module, rows);
    }

    bool check_vectors(const AdapterModule& module, std::uint64_t rows) {
        const AdapterConfig& config = adapter_.config;
        // Some versions of PEFT store the magnitudes of an embedding by column.
        const bool has_rows =
            module.magnitude == nullptr || find_element_count(module.magnitude->shape) == rows;
        if (module.bias != nullptr && module.bias->shape != Shape{rows}) {
            return problem(module,
                           format("its bias has shape {}, expected [{}]",
                                  anamnesis::to_string(module.bias->shape),
                                  rows));
        }
        if (!has_rows || (module.magnitude != nullptr && module.is_embedding)) {
            return problem(module,
                           format("its magnitude vector has shape {}, expected [{}] of a matrix",
                                  anamnesis::to_string(module.magnitude->shape),
                                  rows));
        }
        if (config.is_dora != (module.magnitude != nullptr)) {
            return problem(module,
                           config.is_dora ? "use_dora is set, but it has no magnitude vector"
                                          : "it has a magnitude vector, but use_dora is not set");
        }
        if (module.bias != nullptr && !config.has_lora_bias) {
            return problem(module, "B has a bias, but lora_bias is not set");
        }
        return true;
    }

    /// Always false.
    bool problem(const AdapterModule& module, const std::string& what) {
        match_.problems.push_back(format("module {}: {}", in_quotes(module.path), what));
        return false;
    }

    void misfit(std::string what) {
        match_.problems.push_back(std::move(what));
        if (match_.problems.size() == 1 && !adapter_.config.base_name.empty()) {
            match_.problems.back() +=
                format(" (the adapter was made for {})", in_quotes(adapter_.config.base_name));
        }
    }

    /// One exchange for the whole adapter.
    void note_prefixes() {
        const auto& exchanges = names_.exchanges();
        if (exchanges.size() > 1) {
            match_.problems.push_back(
                format("names of the adapter need different prefixes exchanged: {} for {} and {} "
                       "for {}",
                       in_quotes(exchanges.begin()->second),
                       in_quotes(exchanges.begin()->first),
                       in_quotes(exchanges.rbegin()->second),
                       in_quotes(exchanges.rbegin()->first)));
        }
        if (exchanges.size() == 1) {
            match_.adapter_prefix = exchanges.begin()->first;
            match_.base_prefix = exchanges.begin()->second;
        }
        if (!names_.wrapped().empty()) {
            match_.problems.push_back(format(
                "{} of the adapter is named inside a wrapper that this base does not have; "
                "give the base that has it, or, where this is its text model, --allow prefix of "
                "'restore'",
                in_quotes(names_.wrapped())));
        }
    }

    /// Names of blocks and often shapes are the same in all architectures of llama.cpp, so that an
    /// adapter of another one would be taken without a word; llama.cpp refuses it too.
    void note_architecture() {
        const std::string own = adapter_.is_gguf() ? adapter_.weights.gguf()->architecture() : "";
        if (own.empty()) {
            return;
        }
        const auto file = base_.checkpoint.gguf();
        const GgufArchitecture* known = find_gguf_architecture(own);
        const std::string other = file != nullptr ? file->architecture() : base_.model.family;
        // The family of a routing file is a name of the user's choice, which tells nothing.
        const bool fits = file != nullptr ? own == other
                                          : known == nullptr || find_family(other) == nullptr ||
                                                std::ranges::find(known->families, other) !=
                                                    known->families.end();
        if (!fits) {
            misfit(
                format("the adapter is for the architecture {} (general.architecture), and the "
                       "base is {}",
                       in_quotes(own),
                       in_quotes(other)));
        }
    }

    void note_base() {
        std::string name = adapter_.config.base_name;
        std::ranges::transform(
            name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (name.find("4bit") != std::string::npos || name.find("4-bit") != std::string::npos) {
            match_.findings.push_back(
                {.code = "quantised_training_base",
                 .severity = Severity::note,
                 .sentence = format("the adapter was trained over {}, a base of 4 bits: over the "
                                    "base given its B A is as it was, the rows that are restored "
                                    "are exactly those of the base given",
                                    in_quotes(adapter_.config.base_name))});
        }
        if (adapter_.config.is_fan_in_fan_out) {
            match_.findings.push_back(
                {.code = "fan_in_fan_out",
                 .severity = Severity::note,
                 .sentence = "fan_in_fan_out is set, and the weights of the base are outputs by "
                             "inputs: it is ignored, as PEFT does"});
        }
    }

    const Adapter& adapter_;
    const RecognisedCheckpoint& base_;
    BaseNames names_;
    std::set<const TensorEntry*> taken_;
    AdapterMatch match_;
};

}  // namespace

const MatchedModule* AdapterMatch::find(const TensorEntry& base_weight) const {
    const auto found = std::ranges::find(modules, &base_weight, &MatchedModule::weight);
    return found == modules.end() ? nullptr : &*found;
}

AdapterMatch match_adapter(const Adapter& adapter,
                           const RecognisedCheckpoint& base,
                           PrefixRule rule) {
    return Matcher(adapter, base, rule).run();
}

}  // namespace anamnesis::checkpoint
