// SPDX-License-Identifier: Apache-2.0
#include "kind_relation.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {
namespace {

std::string describe(const std::vector<checkpoint::LayerKind>& kinds) {
    std::vector<std::string> words;
    for (const checkpoint::LayerKind kind : kinds) {
        words.emplace_back(to_string(kind));
    }
    return join(words, " and ");
}

}  // namespace

void find_kind_relation(const checkpoint::RecognisedCheckpoint& pre,
                        const checkpoint::RecognisedCheckpoint& post,
                        std::vector<checkpoint::Finding>& findings) {
    const auto& before = pre.model.layers;
    const auto& after = post.model.layers;
    std::vector<std::uint32_t> layers;
    std::string first;
    for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
        if (before[i].kinds == after[i].kinds) {
            continue;
        }
        if (layers.empty()) {
            first = format("layer {} is {} in pre and {} in post",
                           i,
                           describe(before[i].kinds),
                           describe(after[i].kinds));
        }
        layers.push_back(static_cast<std::uint32_t>(i));
    }
    if (!layers.empty()) {
        findings.push_back(
            {.code = "layer_kinds_differ",
             .sentence =
                 format("the kinds of layers {} differ: {}; post's say which rows are taken",
                        compact_list(layers),
                        first),
             .remedy = "look which config is the model's: give it with --config, or choose with "
                       "--layers",
             .count = layers.size()});
    }
}

}  // namespace anamnesis::restore
