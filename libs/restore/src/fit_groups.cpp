// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/expert_roles.hpp"
#include "anamnesis/checkpoint/feed_forwards.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/mixers.hpp"
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

std::string find_role(const RecognisedCheckpoint& post, const TensorChange& change) {
    const checkpoint::PlannedTensor* planned =
        post.model.blueprint == nullptr
            ? nullptr
            : post.model.blueprint->find_named(checkpoint::canonical_name(change.post->name));
    return planned == nullptr ? std::string() : planned->role;
}

/// Groups under construction, and where the rows of a role and head are, for their biases.
class FitGroups {
public:
    FitGroups(const RecognisedCheckpoint& post, const Request& request)
        : post_(post), request_(request) {}

    void add_weight(const TensorChange& change) {
        if (const AttentionTensor* tensor = post_.model.find_attention(change.post->name)) {
            add_attention(change, *tensor, &FitGroups::add_rows);
            return;
        }
        const std::string matrix_role = find_role(change);
        const auto [part, expert] = find_part(change, matrix_role);
        refuse_shared_block(change);
        if (part == "embedding" && post_.model.is_head_tied) {
            refuse(change,
                   "it is the head as well (tied), and one matrix cannot be fitted to what both "
                   "read");
        }
        std::vector<HeadBlock>& rows = groups_[{change.layer, part}].rows;
        matrices_[{change.layer, matrix_role}] = {.part = part, .first = rows.size()};
        for (const HeadRows& matrix : cut(change, matrix_role)) {
            const auto of_stack = static_cast<std::uint32_t>(matrix.post_row);
            rows.push_back({.head = matrix.layout == MatrixLayout::rows ? expert : of_stack,
                            .weight = matrix,
                            .bias = std::nullopt});
        }
    }

    void add_bias(const TensorChange& change) {
        if (const AttentionTensor* tensor = post_.model.find_attention(change.post->name)) {
            add_attention(change, *tensor, &FitGroups::add_bias_rows);
            return;
        }
        const std::string bias_role = find_role(change);
        const std::string matrix_role = bias_role.substr(0, bias_role.rfind(".bias"));
        const auto found = matrices_.find({change.layer, matrix_role});
        if (found == matrices_.end()) {
            refuse(change, "it is no bias of a matrix that is fitted");
        }
        FitGroup& group = groups_[{change.layer, found->second.part}];
        std::size_t index = found->second.first;
        for (const HeadRows& bias : cut(change, bias_role)) {
            group.rows.at(index++).bias = bias;
        }
        group.has_bias = true;
    }

    std::vector<FitGroup> take() {
        std::vector<FitGroup> list;
        for (auto& [place, group] : groups_) {
            group.layer = place.first;
            group.part = place.second;
            // The matrices of an expert share a filter.
            std::ranges::stable_sort(group.rows, {}, &HeadBlock::head);
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

    /// Where the matrices of a tensor begin in the rows of their group.
    struct MatrixPlace {
        std::string part;
        std::size_t first = 0;
    };

    [[noreturn]] static void refuse(const TensorChange& change, std::string_view why) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} cannot be fitted: {}; --method fit takes the groups q, k, "
                           "v, o, gate, mlp, embedding and head of models that run",
                           in_quotes(change.post->name),
                           why));
    }

    /// The matrices of a tensor: itself, or those of its experts.
    std::vector<HeadRows> cut(const TensorChange& change, std::string_view of) const {
        HeadRows whole{
            .post = change.post, .pre = change.pre, .rows = change.post->rows(), .layout = {}};
        if (!of.starts_with(role::experts_prefix)) {
            return cut_rows(whole);
        }
        const bool is_transposed = change.post->shape.size() > 2 && has_transposed_stacks(change);
        whole.layout = is_transposed ? MatrixLayout::transposed : MatrixLayout::stacked;
        whole.rows = 1;
        std::vector<HeadRows> matrices;
        for (std::uint64_t expert = 0; expert < change.post->rows(); ++expert) {
            whole.post_row = expert;
            whole.pre_row = expert;
            matrices.push_back(whole);
        }
        return matrices;
    }

    /// Blocks of rows, of which a few are in memory at a time.
    static std::vector<HeadRows> cut_rows(HeadRows whole) {
        constexpr std::uint64_t most_rows = 1024;
        std::vector<HeadRows> blocks;
        const std::uint64_t end = whole.rows;
        for (std::uint64_t first = 0; first < end; first += most_rows) {
            whole.post_row = first;
            whole.pre_row = first;
            whole.rows = std::min(most_rows, end - first);
            blocks.push_back(whole);
        }
        return blocks;
    }

    /// Of a block that layers share, each layer gives the feed-forward inputs of its own.
    void refuse_shared_block(const TensorChange& change) const {
        const auto& specs = post_.model.blueprint->specs;
        if (change.layer && change.layer->value < specs.size() &&
            std::holds_alternative<checkpoint::SharedBlockSpec>(specs[change.layer->value].mixer) &&
            change.part == checkpoint::to_string(checkpoint::TensorGroup::mlp)) {
            refuse(change, "it is the feed-forward of a block that layers share");
        }
    }

    bool has_transposed_stacks(const TensorChange& change) const {
        const auto& specs = post_.model.blueprint->specs;
        const auto* mixture = std::get_if<checkpoint::MixtureSpec>(
            &specs.at(change.layer.value().value).feed_forward);
        return mixture != nullptr && mixture->layout == checkpoint::ExpertLayout::transposed;
    }

    std::string find_role(const TensorChange& change) const {
        return restore::find_role(post_, change);
    }

    /// The part, and the expert where the matrix is one of its own.
    static std::pair<std::string, std::uint32_t> find_part(const TensorChange& change,
                                                           std::string_view matrix_role) {
        static const std::map<std::string_view, std::string_view> parts{
            {role::output, "o"},
            {role::output_gate, "q"},
            {role::gate, "mlp"},
            {role::up, "mlp"},
            {role::gate_up, "mlp"},
            {role::down, "down"},
            {role::router, "mlp"},
            {role::latent_input, "mlp"},
            {role::latent_output, "latent_output"},
            {role::shared_gate, "mlp"},
            {role::shared_up, "mlp"},
            {role::shared_gate_up, "mlp"},
            {role::shared_weight, "mlp"},
            {role::shared_down, "shared_down"},
            {role::experts_gate_up, "experts"},
            {role::experts_up, "experts"},
            {role::experts_down, "experts_down"},
            {role::embedding, "embedding"},
            {role::head, "head"}};
        if (const auto expert = role::find_expert(matrix_role); expert && change.part != "mixer") {
            return {expert->part == role::down ? "experts_down" : "experts", expert->index};
        }
        const auto found = parts.find(matrix_role);
        const bool is_mixer_part = change.part == "mixer";
        if (found == parts.end() || is_mixer_part) {
            refuse(change, format("its group {} has no moments", in_quotes(change.part)));
        }
        return {std::string(found->second), 0};
    }

    std::string find_part(const TensorChange& change, RowRole row_role) const {
        const std::string of = find_role(change);
        if (of == role::key_value) {
            return row_role == RowRole::key ? "k_latent" : "v_latent";
        }
        if (of == role::query && has_latent_queries(change)) {
            return "q_latent";
        }
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

    bool has_latent_queries(const TensorChange& change) const {
        const auto& specs = post_.model.blueprint->specs;
        const auto* latent =
            change.layer && change.layer->value < specs.size()
                ? std::get_if<checkpoint::LatentAttentionSpec>(&specs[change.layer->value].mixer)
                : nullptr;
        return latent != nullptr && latent->query_rank.has_value();
    }

    void add_attention(const TensorChange& change, const AttentionTensor& tensor, AddRows add) {
        const bool is_latent = tensor.kind == LayerKind::mla;
        if (is_latent && request_.fit.keys == KeyInputs::centred) {
            refuse(change, "keys of latent attention are fitted with --keys attention alone");
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
    /// By layer and role.
    std::map<std::pair<std::optional<LayerIndex>, std::string>, MatrixPlace> matrices_;
};

bool is_fitted(const TensorChange& change) {
    return change.splices.front().source == RowSource::computed;
}

bool is_bias(const RecognisedCheckpoint& post, const TensorChange& change) {
    return change.post->shape.size() < 2 || find_role(post, change).ends_with(".bias");
}

}  // namespace

void leave_unfitted(const RecognisedCheckpoint& post,
                    std::vector<TensorChange>& changes,
                    std::vector<checkpoint::Finding>& findings) {
    const auto leave = [&](std::initializer_list<std::string_view> roles) {
        return std::erase_if(changes, [&](const TensorChange& change) {
            const std::string of = find_role(post, change);
            return std::ranges::any_of(roles, [&](std::string_view left) {
                return of == left || of == role::to_bias_role(left);
            });
        });
    };
    if (const auto count =
            leave({role::query_input, role::query_input_norm, role::latent, role::latent_norm});
        count > 0) {
        findings.push_back(
            {.code = "latent_projections",
             .severity = checkpoint::Severity::note,
             .sentence = format("{} tensors that make the latents of queries, keys and values "
                                "stay post's: what reads the latents is fitted to what pre's own "
                                "give",
                                count)});
    }
    if (const auto count = leave({role::router_correction}); count > 0) {
        findings.push_back(
            {.code = "router_correction",
             .severity = checkpoint::Severity::note,
             .sentence = format("{} corrections of router scores stay post's: no input is "
                                "multiplied by them, so there is nothing to fit",
                                count)});
    }
}

std::vector<FitGroup> make_fit_groups(const RecognisedCheckpoint& post,
                                      const std::vector<TensorChange>& changes,
                                      const Request& request) {
    FitGroups groups(post, request);
    for (const TensorChange& change : changes) {
        if (is_fitted(change) && !is_bias(post, change)) {
            groups.add_weight(change);
        }
    }
    for (const TensorChange& change : changes) {
        if (is_fitted(change) && is_bias(post, change)) {
            groups.add_bias(change);
        }
    }
    return groups.take();
}

}  // namespace anamnesis::restore
