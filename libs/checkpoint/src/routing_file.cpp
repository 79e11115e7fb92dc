// SPDX-License-Identifier: Apache-2.0
#include "routing_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"
#include "anamnesis/io/file.hpp"

#include "layer_kinds.hpp"
#include "rotary.hpp"
#include "softmax_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::uint32_t format_version = 1;
// Keeps rows x heads x repeat below 2^56.
constexpr std::uint32_t most_heads = 65'535;
constexpr std::uint32_t most_layers = 100'000;

[[noreturn]] void refuse(const std::string& message) {
    throw Error(ErrorKind::malformed, message);
}

void expect_keys(const Json& object,
                 std::string_view what,
                 std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : object.as_object(what)) {
        if (std::ranges::find(known, key) == known.end()) {
            const std::vector<std::string> names(known.begin(), known.end());
            refuse(format(
                "{} has an unknown key {}, expected {}", what, in_quotes(key), join(names, ", ")));
        }
    }
}

const Json& member(const Json& object, std::string_view what, std::string_view key) {
    const Json* value = object.find(key);
    if (value == nullptr) {
        refuse(format("{} has no key {}", what, in_quotes(key)));
    }
    return *value;
}

std::uint32_t count_in(const Json& value,
                       std::string_view what,
                       std::uint32_t least,
                       std::uint32_t most) {
    const std::uint64_t number = value.as_unsigned(what);
    if (number < least || number > most) {
        refuse(format("{} is {}, expected {} to {}", what, number, least, most));
    }
    return static_cast<std::uint32_t>(number);
}

template <class Value>
using Words = std::initializer_list<std::pair<std::string_view, Value>>;

template <class Value>
Value word_in(const Json& value, std::string_view what, Words<Value> words) {
    const std::string& word = value.as_string(what);
    std::vector<std::string> names;
    for (const auto& [name, meaning] : words) {
        if (name == word) {
            return meaning;
        }
        names.emplace_back(name);
    }
    refuse(format("{} is {}, expected {}", what, in_quotes(word), join(names, ", ")));
}

std::vector<Layer> layers_from(const Json& root) {
    const std::uint32_t count =
        count_in(member(root, "the routing file", "layers"), "'layers'", 1, most_layers);
    auto layers = make_uniform_layers(count, LayerKind::linear);
    for (const auto& [key, kind] : {std::pair{"softmax_layers", LayerKind::full},
                                    std::pair{"sliding_layers", LayerKind::sliding}}) {
        const Json* list = root.find(key);
        if (list == nullptr) {
            continue;
        }
        for (const Json& element : list->as_array(key)) {
            const std::uint32_t number =
                count_in(element, format("a layer in '{}'", key), 0, count - 1);
            if (layers[number].is_softmax()) {
                refuse(
                    format("duplicate layer {} in 'softmax_layers' and 'sliding_layers'", number));
            }
            layers[number].kinds = {kind};
        }
    }
    return layers;
}

RowSegment segment_from(const Json& value, std::string_view what) {
    expect_keys(value, what, {"role", "rows", "heads"});
    RowSegment segment;
    segment.role = word_in<RowRole>(member(value, what, "role"),
                                    format("'role' of {}", what),
                                    {{"query", RowRole::query},
                                     {"key", RowRole::key},
                                     {"value", RowRole::value},
                                     {"gate", RowRole::gate},
                                     {"latent", RowRole::latent}});
    segment.rows = count_in(
        member(value, what, "rows"), format("'rows' of {}", what), 1, ConfigReader::largest_count);
    if (const Json* heads = value.find("heads")) {
        segment.heads = count_in(*heads, format("'heads' of {}", what), 1, most_heads);
    }
    return segment;
}

TensorRule rule_from(const Json& value) {
    const std::string what = "a tensor of the routing file";
    expect_keys(value, what, {"name", "group", "layout", "repeat", "optional"});
    const std::string& name = member(value, what, "name").as_string("'name' of a tensor");
    constexpr std::string_view slot = "{layer}";
    const std::size_t at = name.find(slot);
    if (at == std::string::npos || name.find(slot, at + 1) != std::string::npos) {
        refuse(format("tensor name {} must hold {{layer}} once", in_quotes(name)));
    }
    const std::string named = format("tensor {}", in_quotes(name));
    TensorRule rule;
    rule.name = canonical_name(name);
    if (const Json* group = value.find("group")) {
        rule.group = word_in<AttentionGroup>(*group,
                                             format("'group' of {}", named),
                                             {{"weight", AttentionGroup::weight},
                                              {"bias", AttentionGroup::bias},
                                              {"norm", AttentionGroup::norm},
                                              {"adapter", AttentionGroup::adapter}});
    }
    for (const Json& element :
         member(value, named, "layout").as_array(format("'layout' of {}", named))) {
        rule.layout.segments.push_back(segment_from(element, format("the layout of {}", named)));
    }
    if (rule.layout.segments.empty()) {
        refuse(format("the layout of {} is empty", named));
    }
    if (const Json* repeat = value.find("repeat")) {
        rule.layout.repeat = count_in(*repeat, format("'repeat' of {}", named), 1, most_heads);
    }
    if (const Json* optional = value.find("optional")) {
        rule.presence = optional->as_boolean(format("'optional' of {}", named))
                            ? Presence::optional
                            : Presence::required;
    }
    return rule;
}

/// Heads, where the layouts and `head_dim` tell them.
std::optional<HeadLayout> find_heads(const Json& root, std::span<const TensorRule> rules) {
    const Json* head_dim = root.find("head_dim");
    if (head_dim == nullptr) {
        return std::nullopt;
    }
    HeadLayout heads;
    heads.head_dim = count_in(*head_dim, "'head_dim'", 1, most_heads);
    for (const TensorRule& rule : rules) {
        if (rule.group == AttentionGroup::weight) {
            heads.query_heads =
                std::max(heads.query_heads, count_heads(rule.layout, RowRole::query));
            heads.kv_heads = std::max(heads.kv_heads, count_heads(rule.layout, RowRole::key));
        }
    }
    if (heads.query_heads == 0 || heads.kv_heads == 0) {
        return std::nullopt;
    }
    if (heads.query_heads % heads.kv_heads != 0) {
        refuse(format("the layouts have {} query heads and {} key heads, which do not divide",
                      heads.query_heads,
                      heads.kv_heads));
    }
    return heads;
}

void add_rotary_from(Blueprint& blueprint, const Json& root, const Json& config) {
    const Json* rotary = root.find("rotary");
    if (rotary == nullptr) {
        add_no_rotary(blueprint);
        return;
    }
    expect_keys(*rotary, "'rotary'", {"pairs", "dimensions", "offset"});
    const auto pairs =
        word_in<RotaryLayout::Pairs>(member(*rotary, "'rotary'", "pairs"),
                                     "'pairs' of 'rotary'",
                                     {{"half_split", RotaryLayout::Pairs::half_split},
                                      {"interleaved", RotaryLayout::Pairs::interleaved},
                                      {"none", RotaryLayout::Pairs::none}});
    if (pairs == RotaryLayout::Pairs::none) {
        add_no_rotary(blueprint);
        return;
    }
    const std::uint32_t most = blueprint.heads ? blueprint.heads->head_dim : most_heads;
    const std::uint32_t dimensions =
        count_in(member(*rotary, "'rotary'", "dimensions"), "'dimensions' of 'rotary'", 1, most);
    const Json* offset = rotary->find("offset");
    add_latent_rotary(blueprint, ConfigReader(config), dimensions, pairs);
    blueprint.rotary.offset =
        offset == nullptr ? 0 : count_in(*offset, "'offset' of 'rotary'", 0, most - dimensions);
}

}  // namespace

Blueprint parse_routing_file(std::string_view json, const Json& config) {
    const Json root = Json::parse(json);
    expect_keys(root,
                "the routing file",
                {"anamnesis_routing",
                 "family",
                 "layers",
                 "softmax_layers",
                 "sliding_layers",
                 "head_dim",
                 "rotary",
                 "qk_norm",
                 "tensors"});
    const std::uint64_t version =
        member(root, "the routing file", "anamnesis_routing").as_unsigned("'anamnesis_routing'");
    if (version != format_version) {
        throw Error(
            ErrorKind::unsupported,
            format("the routing file has version {}, expected {}", version, format_version));
    }
    Blueprint blueprint;
    blueprint.family = member(root, "the routing file", "family").as_string("'family'");
    if (blueprint.family.empty()) {
        refuse("'family' is empty");
    }
    blueprint.evidence = "stated by a routing file";
    blueprint.layers = layers_from(root);
    if (std::ranges::none_of(blueprint.layers, &Layer::is_softmax)) {
        refuse("the routing file names no softmax layer");
    }
    for (const Json& element : member(root, "the routing file", "tensors").as_array("'tensors'")) {
        TensorRule rule = rule_from(element);
        if (std::ranges::find(blueprint.softmax.tensors, rule.name, &TensorRule::name) !=
            blueprint.softmax.tensors.end()) {
            refuse(format("duplicate tensor {}", in_quotes(rule.name)));
        }
        blueprint.softmax.tensors.push_back(std::move(rule));
    }
    if (blueprint.softmax.tensors.empty()) {
        refuse("the routing file names no tensor");
    }
    // Other mixers of an unknown family may well use the same names.
    blueprint.softmax.mixers_share_names = true;
    blueprint.heads = find_heads(root, blueprint.softmax.tensors);
    if (const Json* norm = root.find("qk_norm")) {
        blueprint.qk_norm = word_in<QkNorm>(*norm,
                                            "'qk_norm'",
                                            {{"none", QkNorm::none},
                                             {"per_head", QkNorm::per_head},
                                             {"per_head_plus1", QkNorm::per_head_plus1},
                                             {"full_width", QkNorm::full_width}});
    }
    add_rotary_from(blueprint, root, config);
    blueprint.specs.resize(blueprint.layers.size());
    plan_softmax_tensors(blueprint);
    return blueprint;
}

Blueprint read_routing_file(const std::filesystem::path& path, const Json& config) {
    return in_context(
        [&] { return format("reading the routing file {}", in_quotes(path.string())); },
        [&] { return parse_routing_file(io::read_text(path), config); });
}

}  // namespace anamnesis::checkpoint
