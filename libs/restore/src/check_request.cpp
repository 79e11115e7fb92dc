// SPDX-License-Identifier: Apache-2.0
#include "check_request.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "select_rows.hpp"

namespace anamnesis::restore {
namespace {

std::vector<std::uint32_t> softmax_layers(const checkpoint::Model& model) {
    std::vector<std::uint32_t> numbers;
    for (const checkpoint::Layer& layer : model.layers) {
        if (layer.is_softmax()) {
            numbers.push_back(layer.index.value);
        }
    }
    return numbers;
}

/// A group that has nothing to choose from would be taken whole, whatever the option says.
void refuse_ignored(std::string_view option,
                    std::string_view what,
                    const std::set<checkpoint::TensorGroup>& groups,
                    const std::set<checkpoint::TensorGroup>& without) {
    for (const checkpoint::TensorGroup group : groups) {
        if (without.contains(group)) {
            throw Error(ErrorKind::usage,
                        format("{} chooses {}, and the group {} of --groups (all groups are 'all') "
                               "has none: it would be taken whole; leave that group out, or {}",
                               option,
                               what,
                               to_string(group),
                               option));
        }
    }
}

/// Errors: `usage` for heads of groups that are not made of heads' rows, and layers of groups that
///         are outside the layers.
void refuse_ignored_choices(const Selection& selection) {
    using enum checkpoint::TensorGroup;
    if (selection.kv_heads) {
        refuse_ignored("--heads",
                       "rows of heads",
                       selection.groups,
                       {o, latent, mlp, mixer, norms, embedding, head, other});
    }
    if (selection.layers) {
        refuse_ignored("--layers", "layers", selection.groups, {embedding, head});
    }
}

}  // namespace

void check_request(const RecognisedCheckpoint& post, const Request& request) {
    const Selection& selection = request.selection;
    refuse_ignored_choices(selection);
    const auto softmax = softmax_layers(post.model);
    const bool wants_attention_only = !selection.is_by_group();
    if (selection.layers) {
        for (const std::uint32_t layer : *selection.layers) {
            if (layer >= post.model.layers.size()) {
                throw Error(ErrorKind::usage,
                            format("--layers names layer {}, the model has layers 0-{}",
                                   layer,
                                   post.model.layers.size() - 1));
            }
            if (wants_attention_only && std::ranges::find(softmax, layer) == softmax.end()) {
                throw Error(ErrorKind::usage,
                            format("--layers names layer {}, which has no softmax attention; the "
                                   "softmax layers are {}",
                                   layer,
                                   compact_list(softmax)));
            }
        }
    }
    if (selection.kv_heads) {
        if (!post.model.heads) {
            throw Error(ErrorKind::unsupported,
                        "--heads needs head counts, which nothing here tells; give --config");
        }
        for (const std::uint32_t head : *selection.kv_heads) {
            if (head >= post.model.heads->kv_heads) {
                throw Error(ErrorKind::usage,
                            format("--heads names key-value head {}, the model has heads 0-{}",
                                   head,
                                   post.model.heads->kv_heads - 1));
            }
        }
    }
    if ((selection.method == Method::groups || selection.method == Method::fit) &&
        selection.groups.empty()) {
        throw Error(ErrorKind::usage, "--groups is empty; name at least one tensor group");
    }
    if (selection.method == Method::fit && request.fit.mus.empty()) {
        throw Error(ErrorKind::usage, "--method fit needs a mu; give --mu");
    }
}

void refuse_empty_selection(const RecognisedCheckpoint& post, const Selection& selection) {
    const std::string helpful = switch_that_helps(post, selection);
    throw Error(ErrorKind::usage,
                helpful.empty()
                    ? format("the selection takes no row of this {} checkpoint: nothing would "
                             "change",
                             post.model.family)
                    : format("the selection takes no row of this {} checkpoint: nothing would "
                             "change; {} would give it rows",
                             post.model.family,
                             helpful));
}

}  // namespace anamnesis::restore
