// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

#include "verify_side_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionGroup;
using checkpoint::AttentionTensor;
using checkpoint::LayerKind;
using checkpoint::RowRole;
using checkpoint::TensorEntry;
using checkpoint::TensorGroup;

/// Where one row of the repaired tensor must come from.
struct Origin {
    enum class Kind : std::uint8_t { post, pre, computed };
    Kind kind = Kind::post;
    std::uint64_t pre_row = 0;
};

struct Expectation {
    const TensorEntry* pre = nullptr;  ///< null where every row is post's
    std::vector<Origin> rows;          ///< empty where every row is post's
};

class Expectations {
public:
    Expectations(const Source& pre, const Source& post, const Request& request)
        : pre_(pre), post_(post), request_(request) {
        for (const AttentionTensor& tensor : pre.model.attention) {
            pre_attention_[tensor.canonical_name] = &tensor;
        }
        for (const TensorEntry& tensor : pre.checkpoint.tensors()) {
            pre_tensors_[checkpoint::canonical_name(tensor.name)] = &tensor;
        }
    }

    Expectation of(const TensorEntry& tensor) const {
        if (const AttentionTensor* attention = post_.model.find_attention(tensor.name)) {
            return of_attention(tensor, *attention);
        }
        if (auto scale = of_scale(tensor)) {
            return std::move(*scale);
        }
        return of_whole(tensor);
    }

private:
    bool wants(const AttentionTensor& tensor) const {
        const Selection& wish = request_.selection;
        const bool norms_as_group =
            wish.method == Method::groups && wish.groups.contains(TensorGroup::norms);
        const bool in_layers = [&] {
            if (!wish.layers) {
                return true;
            }
            std::set<std::uint32_t> users;
            if (tensor.layer) {
                users.insert(tensor.layer->value);
            }
            for (const LayerIndex layer : tensor.shared_by) {
                users.insert(layer.value);
            }
            return std::ranges::any_of(users,
                                       [&](auto user) { return wish.layers->contains(user); });
        }();
        return (tensor.group != AttentionGroup::bias || wish.has_biases) &&
               (tensor.group != AttentionGroup::norm || wish.has_norms || norms_as_group) &&
               (tensor.group != AttentionGroup::adapter || wish.has_adapters) &&
               (tensor.kind != LayerKind::sliding || wish.has_sliding) &&
               (tensor.is_draft_head ? wish.has_draft_heads : in_layers);
    }

    bool wants(const AttentionTensor& tensor, const checkpoint::RowBlock& block) const {
        const Selection& wish = request_.selection;
        bool by_role = false;
        if (wish.method == Method::groups) {
            static const std::map<RowRole, TensorGroup> groups{
                {RowRole::query, TensorGroup::q},
                {RowRole::key, TensorGroup::k},
                {RowRole::value, TensorGroup::v},
                {RowRole::gate, TensorGroup::gate},
                {RowRole::latent, TensorGroup::latent}};
            by_role =
                wish.groups.contains(groups.at(block.role)) ||
                (tensor.group == AttentionGroup::norm && wish.groups.contains(TensorGroup::norms));
        } else {
            const bool is_query = block.role == RowRole::query;
            const bool is_key = block.role == RowRole::key;
            by_role = wish.method == Method::q   ? is_query
                      : wish.method == Method::k ? is_key
                      : wish.method == Method::v ? block.role == RowRole::value
                                                 : is_query || is_key;
        }
        if (!by_role || !wish.kv_heads) {
            return by_role;
        }
        if (!block.head || !post_.model.heads) {
            return false;
        }
        const bool by_query_head = block.role == RowRole::query || block.role == RowRole::gate;
        const std::uint32_t share =
            by_query_head ? post_.model.heads->query_heads / post_.model.heads->kv_heads : 1;
        return wish.kv_heads->contains(*block.head / share);
    }

    Origin::Kind kind_of(const AttentionTensor& tensor, RowRole role) const {
        switch (request_.selection.method) {
            case Method::lerp:
                return Origin::Kind::computed;
            case Method::align:
                return tensor.group == AttentionGroup::norm ? Origin::Kind::pre
                                                            : Origin::Kind::computed;
            case Method::pro:
                return role == RowRole::query && tensor.group != AttentionGroup::norm
                           ? Origin::Kind::computed
                           : Origin::Kind::pre;
            default:
                return Origin::Kind::pre;
        }
    }

    Expectation of_attention(const TensorEntry& entry, const AttentionTensor& tensor) const {
        const auto found = pre_attention_.find(tensor.canonical_name);
        if (!wants(tensor) || found == pre_attention_.end()) {
            return {};
        }
        const AttentionTensor& source = *found->second;
        Expectation expected{.pre = &pre_.checkpoint.at(source.name),
                             .rows = std::vector<Origin>(entry.rows())};
        bool has_any = false;
        // Counterparts are found row by row: the n-th row of a role and head in post is the n-th
        // row of that role and head in pre.
        std::map<std::pair<RowRole, std::optional<std::uint32_t>>, std::vector<std::uint64_t>> rows;
        for (const auto& block : source.blocks) {
            auto& list = rows[{block.role, block.head}];
            for (std::uint64_t row = block.rows.begin; row < block.rows.end; ++row) {
                list.push_back(row);
            }
        }
        std::map<std::pair<RowRole, std::optional<std::uint32_t>>, std::size_t> next;
        for (const auto& block : tensor.blocks) {
            const std::pair key{block.role, block.head};
            for (std::uint64_t row = block.rows.begin; row < block.rows.end; ++row) {
                const std::size_t position = next[key]++;
                if (wants(tensor, block) && position < rows[key].size()) {
                    expected.rows[row] = {kind_of(tensor, block.role), rows[key][position]};
                    has_any = true;
                }
            }
        }
        return has_any ? expected : Expectation{};
    }

    std::optional<Expectation> of_scale(const TensorEntry& entry) const {
        for (const AttentionTensor& tensor : post_.model.attention) {
            const auto scale = checkpoint::find_scale(post_.checkpoint, tensor.name);
            if (!scale || scale->tensor->name != entry.name) {
                continue;
            }
            const TensorEntry& weight = post_.checkpoint.at(tensor.name);
            const Expectation of_weight = of_attention(weight, tensor);
            if (of_weight.pre == nullptr) {
                return Expectation{};
            }
            const auto pre_scale = checkpoint::find_scale(pre_.checkpoint, of_weight.pre->name);
            if (!pre_scale) {
                return Expectation{};
            }
            Expectation expected{.pre = pre_scale->tensor,
                                 .rows = std::vector<Origin>(entry.rows())};
            for (std::uint64_t row = 0; row < entry.rows(); ++row) {
                const Origin& origin = of_weight.rows.at(row * scale->rows_per_block);
                expected.rows[row] = {origin.kind, origin.pre_row / scale->rows_per_block};
            }
            return expected;
        }
        return std::nullopt;
    }

    Expectation of_whole(const TensorEntry& entry) const {
        const Selection& wish = request_.selection;
        const auto group = checkpoint::find_group_of(post_.model, entry.name);
        const auto found = pre_tensors_.find(checkpoint::canonical_name(entry.name));
        if (wish.method != Method::groups || !group || !wish.groups.contains(*group) ||
            found == pre_tensors_.end()) {
            return {};
        }
        const auto layer = checkpoint::find_layer_of(entry.name);
        if (layer && wish.layers && !wish.layers->contains(layer->value)) {
            return {};
        }
        if (checkpoint::canonical_name(entry.name).starts_with("mtp.") && !wish.has_draft_heads) {
            return {};
        }
        const bool of_attention_layer = *group == TensorGroup::o || *group == TensorGroup::gate ||
                                        *group == TensorGroup::latent;
        if (of_attention_layer && layer && layer->value < post_.model.layers.size()) {
            const auto& kinds = post_.model.layers[layer->value].kinds;
            const auto has = [&](LayerKind kind) { return std::ranges::count(kinds, kind) > 0; };
            if (has(LayerKind::sliding) && !has(LayerKind::full) && !wish.has_sliding) {
                return {};
            }
        }
        Expectation expected{.pre = found->second, .rows = std::vector<Origin>(entry.rows())};
        for (std::uint64_t row = 0; row < entry.rows(); ++row) {
            expected.rows[row] = {Origin::Kind::pre, row};
        }
        return expected;
    }

    const Source& pre_;
    const Source& post_;
    const Request& request_;
    std::map<std::string, const AttentionTensor*> pre_attention_;
    std::map<std::string, const TensorEntry*> pre_tensors_;
};

/// Reads rows of a tensor in blocks, mostly in order.
class RowReader {
public:
    explicit RowReader(const TensorEntry& tensor) : tensor_(tensor) {}

    std::span<const std::byte> row(std::uint64_t index) {
        const std::uint64_t row_bytes = tensor_.row_bytes();
        if (index < first_ || index >= first_ + count_) {
            first_ = index;
            count_ = std::min<std::uint64_t>(tensor_.rows() - index,
                                             std::max<std::uint64_t>(1, (1U << 20U) / row_bytes));
            buffer_.resize(count_ * row_bytes);
            tensor_.read_at(first_ * row_bytes, buffer_);
        }
        return std::span(buffer_).subspan((index - first_) * row_bytes, row_bytes);
    }

private:
    const TensorEntry& tensor_;
    std::vector<std::byte> buffer_;
    std::uint64_t first_ = 0;
    std::uint64_t count_ = 0;
};

/// Adds row ranges to a line without listing every row.
std::string describe_rows(const std::vector<std::uint64_t>& rows) {
    std::vector<std::uint32_t> numbers;
    for (const std::uint64_t row : rows) {
        numbers.push_back(static_cast<std::uint32_t>(row));
    }
    std::string text = compact_list(numbers);
    constexpr std::size_t longest = 100;
    if (text.size() > longest) {
        text = text.substr(0, longest) + "…";
    }
    return text;
}

struct TensorResult {
    TensorVerdict verdict;
    std::uint64_t bytes = 0;
    std::vector<std::string> deviations;
};

TensorResult compare_tensor(const TensorEntry& tensor,
                            const TensorEntry& result,
                            const Expectation& expected,
                            const Execution& execution) {
    TensorResult outcome;
    outcome.verdict.name = tensor.name;
    outcome.verdict.rows = tensor.rows();
    outcome.bytes = tensor.bytes;
    if (tensor.bytes == 0) {
        return outcome;
    }
    // Rows that do not begin on whole bytes are compared as one.
    TensorEntry post_tensor = tensor;
    TensorEntry result_tensor = result;
    if (tensor.row_bytes() == 0) {
        post_tensor.shape = {};
        result_tensor.shape = {};
    }
    RowReader of_post(post_tensor);
    RowReader of_result(result_tensor);
    std::optional<RowReader> of_pre;
    if (expected.pre != nullptr) {
        of_pre.emplace(*expected.pre);
    }
    std::vector<std::byte> converted(tensor.row_bytes());
    std::vector<std::uint64_t> not_pre;
    std::vector<std::uint64_t> not_post;
    for (std::uint64_t row = 0; row < post_tensor.rows(); ++row) {
        if (row % 4096 == 0) {
            execution.check();
        }
        const auto now = of_result.row(row);
        const auto before = of_post.row(row);
        const Origin origin = expected.pre == nullptr ? Origin{} : expected.rows[row];
        if (origin.kind == Origin::Kind::post) {
            ++outcome.verdict.rows_from_post;
            if (!std::ranges::equal(now, before)) {
                not_post.push_back(row);
            }
            continue;
        }
        if (origin.kind == Origin::Kind::computed) {
            ++outcome.verdict.rows_computed;
            continue;
        }
        ++outcome.verdict.rows_from_pre;
        std::span<const std::byte> wanted = of_pre->row(origin.pre_row);
        if (expected.pre->dtype != tensor.dtype) {
            convert(expected.pre->dtype, wanted, tensor.dtype, converted);
            wanted = converted;
        }
        if (!std::ranges::equal(now, wanted)) {
            not_pre.push_back(row);
        }
        if (std::ranges::equal(wanted, before)) {
            ++outcome.verdict.rows_equal_in_both;
        }
    }
    if (!not_pre.empty()) {
        outcome.deviations.push_back(format("tensor {}: {} rows should be pre's and are not: {}",
                                            in_quotes(tensor.name),
                                            not_pre.size(),
                                            describe_rows(not_pre)));
    }
    if (!not_post.empty()) {
        outcome.deviations.push_back(format("tensor {}: {} rows should be post's and are not: {}",
                                            in_quotes(tensor.name),
                                            not_post.size(),
                                            describe_rows(not_post)));
    }
    outcome.verdict.rows_from_pre -= not_pre.size();
    outcome.verdict.rows_from_post -= not_post.size();
    return outcome;
}

}  // namespace

Verification verify(const Source& pre,
                    const Source& post,
                    const Source& repaired,
                    const Request& request,
                    const Execution& execution) {
    Verification result;
    const Expectations expectations(pre, post, request);
    const auto& tensors = post.checkpoint.tensors();
    std::vector<TensorResult> outcomes(tensors.size());
    execution.watch.progress().begin(
        "verifying", post.checkpoint.tensor_bytes(), ProgressUnit::bytes);
    parallel_for(tensors.size(), execution.threads, [&](std::size_t i) {
        const TensorEntry& tensor = tensors[i];
        const TensorEntry* now = repaired.checkpoint.find(tensor.name);
        if (now == nullptr) {
            outcomes[i].deviations.push_back(
                format("tensor {} of post is missing", in_quotes(tensor.name)));
            return;
        }
        if (now->dtype != tensor.dtype || now->shape != tensor.shape) {
            outcomes[i].deviations.push_back(format("tensor {} is {} {}, post has {} {}",
                                                    in_quotes(tensor.name),
                                                    anamnesis::name_of(now->dtype),
                                                    to_string(now->shape),
                                                    anamnesis::name_of(tensor.dtype),
                                                    to_string(tensor.shape)));
            return;
        }
        outcomes[i] = compare_tensor(tensor, *now, expectations.of(tensor), execution);
        execution.advance(tensor.bytes);
    });
    for (TensorResult& outcome : outcomes) {
        ++result.tensors_compared;
        result.bytes_compared += outcome.bytes;
        result.rows_from_pre += outcome.verdict.rows_from_pre;
        result.rows_from_post += outcome.verdict.rows_from_post;
        result.rows_computed += outcome.verdict.rows_computed;
        result.deviations.insert(
            result.deviations.end(), outcome.deviations.begin(), outcome.deviations.end());
        if (outcome.verdict.rows_from_pre + outcome.verdict.rows_computed > 0) {
            result.tensors.push_back(std::move(outcome.verdict));
        }
    }
    for (const TensorEntry& tensor : repaired.checkpoint.tensors()) {
        if (post.checkpoint.find(tensor.name) == nullptr) {
            result.deviations.push_back(
                format("tensor {} is in the repaired checkpoint only", in_quotes(tensor.name)));
        }
    }
    compare_side_files(post.checkpoint, repaired.checkpoint, result);
    if (result.rows_from_pre + result.rows_computed == 0 && result.deviations.empty()) {
        result.deviations.emplace_back("no row is required from pre by this method and selection");
    }
    if (result.rows_computed > 0) {
        result.notes.push_back(
            format("{} rows hold values that --method {} computed: bytes cannot "
                   "prove them; all other rows are proven",
                   result.rows_computed,
                   name_of(request.selection.method)));
    }
    execution.watch.progress().finish();
    return result;
}

}  // namespace anamnesis::restore
