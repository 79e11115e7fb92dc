// SPDX-License-Identifier: Apache-2.0
#include "matching.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

#include "planned_shape.hpp"
#include "softmax_tensors.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// What is beside, or instead of, a weight that a packing tool has rewritten.
struct PackedSign {
    std::string_view suffix;  ///< after the name of the module
    std::string_view tool;
};
constexpr std::array packed_signs{
    PackedSign{".qweight", "GPTQ or AWQ"},
    PackedSign{".weight.absmax", "bitsandbytes, 4 bits"},
    PackedSign{".SCB", "bitsandbytes, 8 bits"},
    PackedSign{".weight_packed", "compressed-tensors"},
    PackedSign{".weight_blocks", "MXFP4"},
    PackedSign{".weight_scale_2", "NVFP4"},
};

bool is_softmax_only_layer(const Layer& layer) {
    return layer.is_softmax() &&
           std::ranges::find(layer.kinds, LayerKind::linear) == layer.kinds.end();
}

LayerKind find_softmax_kind(const Layer& layer) {
    for (const LayerKind kind : layer.kinds) {
        if (kind == LayerKind::full || kind == LayerKind::sliding || kind == LayerKind::mla) {
            return kind;
        }
    }
    return LayerKind::full;
}

bool has_float_rows(DType dtype) {
    switch (dtype) {
        using enum DType;
        case f8_e5m2:
        case f8_e4m3:
        case f8_e4m3fnuz:
        case f8_e5m2fnuz:
            return true;
        default:
            return is_arithmetic(dtype) || is_block_quantised(dtype);
    }
}

class Matcher {
public:
    Matcher(const Blueprint& blueprint, const TensorNames& names, const Json& config)
        : blueprint_(blueprint), names_(names), config_(config) {}

    Matching run() {
        const auto tensors = sort_by_layer();
        for (std::size_t i = 0; i < blueprint_.layers.size(); ++i) {
            const Layer& layer = blueprint_.layers[i];
            if (layer.is_softmax()) {
                match_softmax_layer(layer, tensors[i]);
            } else {
                check_other_layer(layer);
            }
        }
        match_draft_heads();
        return std::move(matching_);
    }

private:
    /// Whose tensors are looked up.
    struct Place {
        std::optional<LayerIndex> layer{};
        LayerKind kind = LayerKind::full;
        bool is_draft_head = false;
        bool must_exist = true;
    };

    using Tensors = std::vector<const PlannedTensor*>;

    /// The tensors of softmax attention, layer by layer.
    std::vector<Tensors> sort_by_layer() const {
        std::vector<Tensors> sorted(blueprint_.layers.size());
        for (const PlannedTensor& tensor : blueprint_.tensors) {
            if (tensor.attention && tensor.layer) {
                sorted[tensor.layer->value].push_back(&tensor);
            }
        }
        return sorted;
    }

    void match_softmax_layer(const Layer& layer, const Tensors& tensors) {
        std::size_t found = 0;
        std::vector<std::string> missing;
        for (const PlannedTensor* tensor : tensors) {
            const Place place{.layer = layer.index, .kind = find_softmax_kind(layer)};
            found += match_tensor(*tensor, tensor->name, place, missing) ? 1U : 0U;
        }
        if (found == 0 && !missing.empty()) {
            matching_.missing.push_back(
                format("layer {} is softmax attention, but none of its {} tensors is there, such "
                       "as {}{}",
                       layer.index.value,
                       missing.size(),
                       in_quotes(missing.front()),
                       describe_wrapper(missing.front())));
        } else {
            for (const std::string& name : missing) {
                matching_.missing.push_back(format("tensor {} is missing", in_quotes(name)));
            }
        }
        if (is_softmax_only_layer(layer)) {
            for (const std::string& pattern : blueprint_.softmax.mixer_only) {
                refuse_name(pattern, layer, "which only other mixers have");
            }
        }
    }

    /// Words on a name that ends as a missing one does: the rest of it is a wrapper's.
    std::string describe_wrapper(const std::string& missing) const {
        for (const auto& [name, entries] : names_.by_name()) {
            if (name.size() > missing.size() && name.ends_with(missing)) {
                const std::string& stored = entries.front()->name;
                std::string wrapper = (stored.ends_with(missing) ? stored : name);
                wrapper.resize(wrapper.size() - missing.size());
                // The last `model.` is the model's own.
                constexpr std::string_view own = ".model.";
                if (wrapper.ends_with(own)) {
                    wrapper.resize(wrapper.size() - own.size() + 1);
                }
                return format(
                    "; {} is there: if {} is a wrapper that training code put around the "
                    "model, save the model without it",
                    in_quotes(stored),
                    in_quotes(wrapper));
            }
        }
        return {};
    }

    void check_other_layer(const Layer& layer) {
        for (const std::string& pattern : blueprint_.softmax.softmax_only) {
            refuse_name(pattern, layer, "which only softmax attention has");
        }
        if (!blueprint_.softmax.mixers_share_names) {
            for (const TensorRule& rule : blueprint_.softmax.tensors) {
                if (rule.name.find(block_slot) == std::string::npos) {
                    refuse_name(rule.name, layer, "which only softmax attention has");
                }
            }
        }
    }

    void refuse_name(const std::string& pattern, const Layer& layer, std::string_view why) {
        const TensorEntry* tensor = names_.find(fill_slot(pattern, layer_slot, layer.index.value));
        if (tensor != nullptr && !layer.kinds.empty()) {
            matching_.contradictions.push_back(
                format("layer {} is declared {}, but has tensor {}, "
                       "{}",
                       layer.index.value,
                       to_string(layer.kinds.front()),
                       in_quotes(tensor->name),
                       why));
        }
    }

    /// Draft heads: `mtp.layers.N.`, and layers after the last (DeepSeek V3).
    void match_draft_heads() {
        std::set<std::string> places;
        for (const auto& [name, entries] : names_.by_name()) {
            const bool is_draft = name.starts_with("mtp.");
            const auto numbered =
                find_numbered(is_draft ? std::string_view(name).substr(4) : std::string_view(name));
            matching_.has_draft_head = matching_.has_draft_head || is_draft;
            if (!numbered) {
                continue;
            }
            if (is_draft) {
                places.insert(format("mtp.layers.{}.", numbered->number));
            } else if (numbered->number >= blueprint_.layers.size() && declares_draft_layers()) {
                matching_.has_draft_head = true;
                places.insert(format("{}.{}.", numbered->container, numbered->number));
            }
        }
        for (const std::string& place : places) {
            for (const TensorRule& rule : blueprint_.softmax.tensors) {
                const std::string head = format("{}.", layer_slot);
                const std::size_t at = rule.name.find(head);
                if (at == std::string::npos || rule.name.find(block_slot) != std::string::npos) {
                    continue;
                }
                // A draft head need not be attention (Nemotron-H), and its config is not stated:
                // what fits is listed, what is absent is not missed.
                std::vector<std::string> missing;
                match_tensor(plan_anywhere(rule),
                             place + rule.name.substr(at + head.size()),
                             {.kind = draft_kind(), .is_draft_head = true, .must_exist = false},
                             missing);
            }
        }
    }

    bool declares_draft_layers() const {
        return ConfigReader(config_).count("num_nextn_predict_layers", 0) > 0;
    }

    LayerKind draft_kind() const {
        for (const Layer& layer : blueprint_.layers) {
            if (layer.is_softmax() && find_softmax_kind(layer) == LayerKind::mla) {
                return LayerKind::mla;
            }
        }
        return LayerKind::full;
    }

    /// True where the tensor is there, right or wrong.
    bool match_tensor(const PlannedTensor& planned,
                      const std::string& name,
                      const Place& place,
                      std::vector<std::string>& missing) {
        const auto& entries = names_.all(name);
        refuse_packed(name);
        if (entries.empty()) {
            const std::string elsewhere = find_under_another_user(name);
            if (!elsewhere.empty() && planned.attention->group == AttentionGroup::adapter) {
                return match_tensor(planned, elsewhere, place, missing);
            }
            if (planned.presence == Presence::required && place.must_exist && elsewhere.empty()) {
                missing.push_back(names_.full_name(name));
            }
            return !elsewhere.empty();
        }
        const TensorEntry& tensor = *entries.front();
        if (entries.size() > 1) {
            contradict(tensor, format("is a duplicate of {}", in_quotes(entries[1]->name)));
        }
        if (planned.presence == Presence::absent) {
            contradict(tensor, "is there, though config.json says that there is none");
            return true;
        }
        if (!has_float_rows(tensor.dtype)) {
            throw Error(ErrorKind::unsupported,
                        format("tensor {} holds {}, expected floating-point rows{}",
                               in_quotes(tensor.name),
                               anamnesis::to_string(tensor.dtype),
                               method_in_config()));
        }
        if (has_expected_shape(planned, tensor)) {
            matching_.attention.push_back(
                {.name = tensor.name,
                 .canonical_name = name,
                 .layer = place.layer,
                 .kind = place.kind,
                 .group = planned.attention->group,
                 .is_draft_head = place.is_draft_head,
                 .rows = tensor.rows(),
                 .blocks = make_blocks(planned.attention->layout, tensor.rows()),
                 .shared_by = planned.attention->shared_by});
        }
        return true;
    }

    /// The name under which another layer that uses the same shared block stores this tensor of it;
    /// empty where none does. A block is stored once, with any of its users, or with each of them.
    std::string find_under_another_user(const std::string& name) const {
        const auto& homes = blueprint_.softmax.stored_in;
        const auto numbered = find_numbered(name);
        if (!numbered || numbered->number >= homes.size()) {
            return {};
        }
        for (std::size_t i = 0; i < homes.size(); ++i) {
            if (i == numbered->number || homes[i] != homes[numbered->number] ||
                !blueprint_.layers[i].is_softmax()) {
                continue;
            }
            std::string other = format("{}.{}.{}", numbered->container, i, numbered->rest);
            if (names_.find(other) != nullptr) {
                return other;
            }
        }
        return {};
    }

    bool has_expected_shape(const PlannedTensor& planned, const TensorEntry& tensor) {
        const bool fits = fits_shape(planned.shape, tensor.shape);
        if (!fits) {
            contradict(
                tensor,
                format("{} {}, expected {}",
                       find_element_count(tensor.shape) == 0U ? "is empty, of shape" : "has shape",
                       anamnesis::to_string(tensor.shape),
                       describe_shape(planned.shape)));
        }
        return fits;
    }

    void contradict(const TensorEntry& tensor, const std::string& what) {
        matching_.contradictions.push_back(format("tensor {} {}", in_quotes(tensor.name), what));
    }

    void refuse_packed(const std::string& name) const {
        constexpr std::string_view weight = ".weight";
        if (!name.ends_with(weight)) {
            return;
        }
        const std::string module = name.substr(0, name.size() - weight.size());
        for (const PackedSign& sign : packed_signs) {
            if (const TensorEntry* tensor = names_.find(module + std::string(sign.suffix))) {
                throw Error(ErrorKind::unsupported,
                            format("tensor {} is packed ({}{}): its rows cannot be copied apart",
                                   in_quotes(tensor->name),
                                   sign.tool,
                                   method_in_config()));
            }
        }
    }

    std::string method_in_config() const {
        const Json* quantization = config_.find("quantization_config");
        const Json* method = quantization == nullptr ? nullptr : quantization->find("quant_method");
        return method != nullptr && method->is_string()
                   ? format("; config.json says quant_method {}",
                            in_quotes(method->as_string("quant_method")))
                   : std::string();
    }

    const Blueprint& blueprint_;
    const TensorNames& names_;
    const Json& config_;
    Matching matching_;
};

}  // namespace

Matching match(const Blueprint& blueprint, const TensorNames& names, const Json& config) {
    return Matcher(blueprint, names, config).run();
}

}  // namespace anamnesis::checkpoint
