// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionGroup;
using checkpoint::AttentionTensor;
using checkpoint::LayerKind;
using checkpoint::RowRole;

namespace role = checkpoint::role;

/// Groups under construction, and where the rows of a role and head are, for their biases.
class FitGroups {
public:
    FitGroups(const RecognisedCheckpoint& post, const Request& request)
        : post_(post), request_(request) {}

    void add_weight(const TensorChange& change) {
        if (const AttentionTensor* tensor = post_.model.find_attention(change.post->name)) {
            add_attention(change, *tensor, &FitGroups::add_rows);
        } else {
            const std::string part = find_part(change, find_role(change));
            groups_[{change.layer, part}].rows.push_back(
                {.head = 0, .weight = whole_rows(change), .bias = std::nullopt});
        }
    }

    void add_bias(const TensorChange& change) {
        if (const AttentionTensor* tensor = post_.model.find_attention(change.post->name)) {
            add_attention(change, *tensor, &FitGroups::add_bias_rows);
            return;
        }
        const std::string matrix_role = find_role(change);
        const std::string part =
            find_part(change, std::string_view(matrix_role).substr(0, matrix_role.rfind(".bias")));
        FitGroup& group = groups_[{change.layer, part}];
        // Of several matrices with the same inputs, the one whose rows these are.
        for (HeadBlock& block : group.rows) {
            if (block.weight.post->name ==
                change.post->name.substr(0, change.post->name.rfind('.')) + ".weight") {
                block.bias = whole_rows(change);
                group.has_bias = true;
            }
        }
    }

    std::vector<FitGroup> take() {
        std::vector<FitGroup> list;
        for (auto& [place, group] : groups_) {
            group.layer = place.first;
            group.part = place.second;
            list.push_back(std::move(group));
        }
        return list;
    }

private:
    /// A role of attention rows in a layer; the head where it has one.
    using RowsPlace = std::tuple<std::optional<LayerIndex>, RowRole, std::optional<std::uint32_t>>;
    using AddRows = void (FitGroups::*)(const TensorChange&,
                                        const checkpoint::RowBlock&,
                                        const HeadRows&);

    [[noreturn]] static void refuse(const TensorChange& change, std::string_view why) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} cannot be fitted: {}; --method fit takes the groups q, k, "
                           "v, o, gate, mlp and head of models that run",
                           in_quotes(change.post->name),
                           why));
    }

    static HeadRows whole_rows(const TensorChange& change) {
        return {.post = change.post,
                .pre = change.pre,
                .post_row = 0,
                .pre_row = 0,
                .rows = change.post->rows()};
    }

    std::string find_role(const TensorChange& change) const {
        const checkpoint::PlannedTensor* planned =
            post_.model.blueprint == nullptr
                ? nullptr
                : post_.model.blueprint->find_named(checkpoint::canonical_name(change.post->name));
        return planned == nullptr ? std::string() : planned->role;
    }

    static std::string find_part(const TensorChange& change, std::string_view matrix_role) {
        static const std::map<std::string_view, std::string_view> parts{{role::output, "o"},
                                                                        {role::output_gate, "q"},
                                                                        {role::gate, "mlp"},
                                                                        {role::up, "mlp"},
                                                                        {role::down, "down"},
                                                                        {role::head, "head"}};
        const auto found = parts.find(matrix_role);
        const bool is_mixer_part = change.part == "mixer";
        if (found == parts.end() || is_mixer_part) {
            refuse(change, format("its group {} has no moments", in_quotes(change.part)));
        }
        return std::string(found->second);
    }

    std::string find_part(const TensorChange& change, RowRole row_role) const {
        switch (row_role) {
            case RowRole::query:
            case RowRole::gate:
                return "q";
            case RowRole::key:
                return format("k_{}", to_string(request_.fit.keys));
            case RowRole::value:
                return "v";
            case RowRole::latent:
                break;
        }
        refuse(change, "keys and values share its latent rows");
    }

    void add_attention(const TensorChange& change, const AttentionTensor& tensor, AddRows add) {
        if (tensor.kind == LayerKind::mla) {
            refuse(change, "it is multi-head latent attention");
        }
        if (!tensor.layer || tensor.group == AttentionGroup::adapter) {
            refuse(change, "its inputs are not seen when the model runs");
        }
        for (const RowSplice& splice : change.splices) {
            for (const checkpoint::RowBlock& block : tensor.blocks) {
                const bool is_inside =
                    splice.rows.begin <= block.rows.begin && block.rows.end <= splice.rows.end;
                if (is_inside && block.role == splice.role) {
                    (this->*add)(
                        change,
                        block,
                        {.post = change.post,
                         .pre = change.pre,
                         .post_row = block.rows.begin,
                         .pre_row = splice.pre_row + (block.rows.begin - splice.rows.begin),
                         .rows = block.rows.size()});
                }
            }
        }
    }

    void add_rows(const TensorChange& change,
                  const checkpoint::RowBlock& block,
                  const HeadRows& rows) {
        const std::string part = find_part(change, block.role);
        std::vector<HeadBlock>& list = groups_[{change.layer, part}].rows;
        places_[{change.layer, block.role, block.head}] = {part, list.size()};
        list.push_back({.head = block.head.value_or(0), .weight = rows, .bias = std::nullopt});
    }

    void add_bias_rows(const TensorChange& change,
                       const checkpoint::RowBlock& block,
                       const HeadRows& rows) {
        const auto found = places_.find({change.layer, block.role, block.head});
        ANAMNESIS_CHECK(found != places_.end(), "a bias is fitted without its weight");
        const auto& [part, index] = found->second;
        if (part == "k_centred") {
            refuse(change,
                   "centred inputs say nothing about the bias of keys (--keys attention does, "
                   "--no-bias leaves it as it is)");
        }
        FitGroup& group = groups_[{change.layer, part}];
        group.rows[index].bias = rows;
        group.has_bias = true;
    }

    const RecognisedCheckpoint& post_;
    const Request& request_;
    std::map<std::pair<std::optional<LayerIndex>, std::string>, FitGroup> groups_;
    std::map<RowsPlace, std::pair<std::string, std::size_t>> places_;
};

bool is_fitted(const TensorChange& change) {
    return change.splices.front().source == RowSource::computed;
}

bool is_bias(const TensorChange& change) {
    return change.post->shape.size() < 2;
}

}  // namespace

std::vector<FitGroup> make_fit_groups(const RecognisedCheckpoint& post,
                                      const std::vector<TensorChange>& changes,
                                      const Request& request) {
    FitGroups groups(post, request);
    for (const TensorChange& change : changes) {
        if (is_fitted(change) && !is_bias(change)) {
            groups.add_weight(change);
        }
    }
    for (const TensorChange& change : changes) {
        if (is_fitted(change) && is_bias(change)) {
            groups.add_bias(change);
        }
    }
    return groups.take();
}

}  // namespace anamnesis::restore
