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
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "blueprint.hpp"
#include "row_layout.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::string_view layer_slot = "{layer}";
constexpr std::string_view block_slot = "{block}";

/// What stands beside, or instead of, a weight that a packing tool has rewritten.
struct PackedSign {
    std::string_view suffix;  ///< behind the name of the module
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

std::string with_slot(std::string name, std::string_view slot, std::uint32_t number) {
    const std::size_t at = name.find(slot);
    return at == std::string::npos ? name : name.replace(at, slot.size(), format("{}", number));
}

bool is_softmax_only_layer(const Layer& layer) {
    return layer.is_softmax() &&
           std::ranges::find(layer.kinds, LayerKind::linear) == layer.kinds.end();
}

LayerKind softmax_kind_of(const Layer& layer) {
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
            return is_arithmetic(dtype);
    }
}

class Matcher {
public:
    Matcher(const Blueprint& blueprint, const TensorNames& names, const Json& config)
        : blueprint_(blueprint), names_(names), config_(config) {}

    Matching run() {
        for (std::size_t i = 0; i < blueprint_.layers.size(); ++i) {
            const Layer& layer = blueprint_.layers[i];
            if (layer.is_softmax()) {
                match_softmax_layer(i);
            } else {
                check_other_layer(layer);
            }
        }
        match_draft_heads();
        return std::move(matching_);
    }

private:
    /// Whose tensors a rule is looked up for.
    struct Place {
        std::optional<LayerIndex> layer{};
        LayerKind kind = LayerKind::full;
        bool is_draft_head = false;
        bool must_exist = true;
        std::vector<LayerIndex> shared_by{};
    };

    LayerIndex home_of(std::size_t layer) const {
        return blueprint_.stored_in.empty() ? blueprint_.layers[layer].index
                                            : blueprint_.stored_in[layer];
    }

    std::vector<LayerIndex> users_of(LayerIndex home) const {
        std::vector<LayerIndex> users;
        for (std::size_t i = 0; i < blueprint_.stored_in.size(); ++i) {
            if (blueprint_.stored_in[i] == home && blueprint_.layers[i].is_softmax()) {
                users.push_back(blueprint_.layers[i].index);
            }
        }
        return users;
    }

    void match_softmax_layer(std::size_t number) {
        const Layer& layer = blueprint_.layers[number];
        const LayerIndex home = home_of(number);
        std::size_t found = 0;
        std::vector<std::string> missing;
        for (const TensorRule& rule : blueprint_.rules) {
            const bool is_per_user = rule.name.find(block_slot) != std::string::npos;
            Place place{.layer = layer.index, .kind = softmax_kind_of(layer)};
            std::string name = rule.name;
            if (is_per_user) {
                name = with_slot(with_slot(name, layer_slot, home.value), block_slot, user_count_);
            } else {
                name = with_slot(name, layer_slot, layer.index.value);
                place.shared_by = users_of(layer.index);
                // A later user of a shared block stores nothing; a copy of its own would be used.
                place.must_exist = home == layer.index;
            }
            found += match_rule(rule, name, place, missing) ? 1U : 0U;
        }
        ++user_count_;
        if (found == 0 && !missing.empty()) {
            matching_.missing.push_back(
                format("layer {} is softmax attention, but none of its {} tensors is there, such "
                       "as {}",
                       layer.index.value,
                       missing.size(),
                       in_quotes(missing.front())));
        } else {
            for (const std::string& name : missing) {
                matching_.missing.push_back(format("tensor {} is missing", in_quotes(name)));
            }
        }
        if (is_softmax_only_layer(layer)) {
            for (const std::string& pattern : blueprint_.mixer_only) {
                refuse_name(pattern, layer, "which only other mixers have");
            }
        }
    }

    void check_other_layer(const Layer& layer) {
        for (const std::string& pattern : blueprint_.softmax_only) {
            refuse_name(pattern, layer, "which only softmax attention has");
        }
        if (!blueprint_.mixers_share_names) {
            for (const TensorRule& rule : blueprint_.rules) {
                if (rule.name.find(block_slot) == std::string::npos) {
                    refuse_name(rule.name, layer, "which only softmax attention has");
                }
            }
        }
    }

    void refuse_name(const std::string& pattern, const Layer& layer, std::string_view why) {
        const TensorEntry* tensor = names_.find(with_slot(pattern, layer_slot, layer.index.value));
        if (tensor != nullptr && !layer.kinds.empty()) {
            matching_.contradictions.push_back(
                format("layer {} is declared {}, but has tensor {}, "
                       "{}",
                       layer.index.value,
                       name_of(layer.kinds.front()),
                       in_quotes(tensor->name),
                       why));
        }
    }

    /// Draft heads: `mtp.layers.N.`, and layers behind the last (DeepSeek V3).
    void match_draft_heads() {
        constexpr std::string_view main_prefix = "layers.";
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
            for (const TensorRule& rule : blueprint_.rules) {
                const std::string head = format("{}{}.", main_prefix, layer_slot);
                if (!rule.name.starts_with(head) ||
                    rule.name.find(block_slot) != std::string::npos) {
                    continue;
                }
                // A draft head need not be attention (Nemotron-H), and its config is not stated:
                // what fits is listed, what is not there is not missed.
                std::vector<std::string> missing;
                match_rule(rule,
                           place + rule.name.substr(head.size()),
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
            if (layer.is_softmax() && softmax_kind_of(layer) == LayerKind::mla) {
                return LayerKind::mla;
            }
        }
        return LayerKind::full;
    }

    /// True where the tensor is there, right or wrong.
    bool match_rule(const TensorRule& rule,
                    const std::string& name,
                    const Place& place,
                    std::vector<std::string>& missing) {
        const auto& entries = names_.all(name);
        refuse_packed(name);
        if (entries.empty()) {
            if (rule.presence == Presence::required && place.must_exist) {
                missing.push_back(names_.full_name(name));
            }
            return false;
        }
        const TensorEntry& tensor = *entries.front();
        if (entries.size() > 1) {
            contradict(tensor,
                       format("stands twice, the other is {}", in_quotes(entries[1]->name)));
        }
        if (rule.presence == Presence::absent) {
            contradict(tensor, "is there, though config.json says that there is none");
            return true;
        }
        if (!has_float_rows(tensor.dtype)) {
            throw Error(ErrorKind::unsupported,
                        format("tensor {} holds {}, expected floating-point rows{}",
                               in_quotes(tensor.name),
                               anamnesis::name_of(tensor.dtype),
                               method_in_config()));
        }
        if (has_expected_shape(rule, tensor)) {
            matching_.attention.push_back({.name = tensor.name,
                                           .canonical_name = name,
                                           .layer = place.layer,
                                           .kind = place.kind,
                                           .group = rule.group,
                                           .is_draft_head = place.is_draft_head,
                                           .rows = tensor.rows(),
                                           .blocks = blocks_of(rule.layout, tensor.rows()),
                                           .shared_by = place.shared_by});
        }
        return true;
    }

    bool has_expected_shape(const TensorRule& rule, const TensorEntry& tensor) {
        const std::size_t rank =
            rule.group == AttentionGroup::weight || rule.group == AttentionGroup::adapter ? 2 : 1;
        const std::uint64_t rows = rows_of(rule.layout);
        const bool fits = tensor.shape.size() == rank && (rows == 0 || tensor.rows() == rows) &&
                          (rank == 1 || !rule.columns || tensor.shape[1] == *rule.columns);
        if (!fits) {
            const auto size_or_any = [](std::uint64_t size) {
                return size == 0 ? std::string("any") : format("{}", size);
            };
            contradict(tensor,
                       format("has shape {}, expected [{}{}]",
                              to_string(tensor.shape),
                              size_or_any(rows),
                              rank == 1 ? std::string()
                                        : format(", {}", size_or_any(rule.columns.value_or(0)))));
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
    std::uint32_t user_count_ = 0;
};

}  // namespace

Matching match(const Blueprint& blueprint, const TensorNames& names, const Json& config) {
    return Matcher(blueprint, names, config).run();
}

}  // namespace anamnesis::checkpoint
