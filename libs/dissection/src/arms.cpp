// SPDX-License-Identifier: Apache-2.0
#include "arms.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::dissection {
namespace {

using checkpoint::TensorGroup;

constexpr std::array all_groups{TensorGroup::q,
                                TensorGroup::k,
                                TensorGroup::v,
                                TensorGroup::o,
                                TensorGroup::gate,
                                TensorGroup::latent,
                                TensorGroup::mlp,
                                TensorGroup::mixer,
                                TensorGroup::norms,
                                TensorGroup::embedding,
                                TensorGroup::head,
                                TensorGroup::other};

bool is_outside_layers(TensorGroup group) {
    return group == TensorGroup::embedding || group == TensorGroup::head;
}

bool has_heads(TensorGroup group) {
    return group == TensorGroup::q || group == TensorGroup::k || group == TensorGroup::v;
}

restore::Request make_request(TensorGroup group) {
    restore::Request request;
    restore::Selection& selection = request.selection;
    selection.method = restore::Method::groups;
    selection.groups = {group};
    selection.has_sliding = true;
    selection.has_norms = group == TensorGroup::norms;
    selection.has_adapters = true;
    return request;
}

Arm make_arm(TensorGroup group) {
    const std::string name(checkpoint::to_string(group));
    return {.name = name, .group = name, .layer = std::nullopt, .request = make_request(group)};
}

void add_heads(const Arm& of_layer, std::uint32_t heads, std::vector<Arm>& arms) {
    for (std::uint32_t head = 0; head < heads; ++head) {
        Arm arm = of_layer;
        arm.name += format("#{}", head);
        arm.request.selection.kv_heads = {head};
        arms.push_back(std::move(arm));
    }
}

std::string join_numbers(const std::set<std::uint32_t>& numbers) {
    std::vector<std::string> words;
    for (const std::uint32_t number : numbers) {
        words.push_back(format("{}", number));
    }
    return join(words, ",");
}

}  // namespace

std::vector<Arm> list_arms(const checkpoint::RecognisedCheckpoint& post, Depth depth) {
    std::vector<Arm> arms;
    for (const TensorGroup group : all_groups) {
        if (depth == Depth::group || is_outside_layers(group)) {
            arms.push_back(make_arm(group));
            continue;
        }
        for (const checkpoint::Layer& layer : post.model.layers) {
            if (has_heads(group) && !layer.is_softmax()) {
                continue;
            }
            Arm arm = make_arm(group);
            arm.layer = layer.index.value;
            arm.name += format("@{}", layer.index.value);
            arm.request.selection.layers = {layer.index.value};
            if (depth == Depth::head && has_heads(group) && post.model.heads) {
                add_heads(arm, post.model.heads->kv_heads, arms);
            } else {
                arms.push_back(std::move(arm));
            }
        }
    }
    return arms;
}

std::string describe_options(const restore::Request& request,
                             const checkpoint::RecognisedCheckpoint& post) {
    using restore::Method;
    const restore::Selection& selection = request.selection;
    std::string options;
    if (selection.method != Method::groups) {
        options += format(" --method {}", restore::to_string(selection.method));
    }
    if (selection.groups.size() == all_groups.size()) {
        options += " --groups all";
    } else if (!selection.groups.empty()) {
        std::vector<std::string> words;
        for (const TensorGroup group : selection.groups) {
            words.emplace_back(checkpoint::to_string(group));
        }
        options += " --groups " + join(words, ",");
    }
    if (selection.layers) {
        options += " --layers " + join_numbers(*selection.layers);
    }
    if (selection.kv_heads) {
        options += " --heads " + join_numbers(*selection.kv_heads);
    }
    if (selection.groups.size() != all_groups.size()) {
        const auto has = [&](auto is_meant) {
            return std::ranges::any_of(post.model.attention, is_meant);
        };
        const auto is_sliding = [](const checkpoint::AttentionTensor& tensor) {
            return tensor.kind == checkpoint::LayerKind::sliding;
        };
        const auto is_adapter = [](const checkpoint::AttentionTensor& tensor) {
            return tensor.group == checkpoint::AttentionGroup::adapter;
        };
        if (selection.has_sliding && has(is_sliding)) {
            options += " --include-sliding";
        }
        if (selection.has_adapters && has(is_adapter)) {
            options += " --include-adapters";
        }
    }
    if (selection.method == Method::lerp) {
        options += format(" --alpha {}", request.alpha);
    }
    if (selection.method == Method::pro) {
        options += format(" --lambda-rel {}", request.lambdas.front().value);
    }
    if (selection.method == Method::fit) {
        options += format(" --mu {}", request.fit.mus.front());
    }
    return options;
}

}  // namespace anamnesis::dissection
