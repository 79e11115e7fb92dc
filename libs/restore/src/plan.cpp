// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/plan.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/pair_findings.hpp"
#include "anamnesis/restore/request.hpp"

#include "check_request.hpp"
#include "container_view.hpp"
#include "gguf_plan.hpp"
#include "pairing.hpp"
#include "select_rows.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Finding;
using checkpoint::LayerKind;
using checkpoint::RowRole;

void refuse_same_source(const RecognisedCheckpoint& pre, const RecognisedCheckpoint& post) {
    std::error_code ignored;
    if (std::filesystem::equivalent(pre.checkpoint.path(), post.checkpoint.path(), ignored)) {
        throw Error(ErrorKind::usage,
                    format("pre and post are the same checkpoint, {}: a repair would change "
                           "nothing; give the checkpoint before the fine-tune as --pre",
                           in_quotes(post.checkpoint.path().string(), 1000)));
    }
}

RowSource choose_source(Method method, const TensorChange& change, RowRole role) {
    const bool is_routing_row = change.part != "norms";
    switch (method) {
        case Method::lerp:
            return RowSource::blend;
        case Method::align:
        case Method::fit:
            return is_routing_row ? RowSource::computed : RowSource::pre;
        case Method::pro:
            return is_routing_row && role == RowRole::query ? RowSource::computed : RowSource::pre;
        default:
            return RowSource::pre;
    }
}

/// Methods that compute rows need values; quantised weights have none of their own.
void mark_sources(const Request& request,
                  std::vector<TensorChange>& changes,
                  std::vector<std::string>& problems) {
    for (TensorChange& change : changes) {
        for (RowSplice& splice : change.splices) {
            splice.source = choose_source(request.selection.method, change, splice.role);
        }
        const bool computes = std::ranges::any_of(change.splices, [](const RowSplice& splice) {
            return splice.source != RowSource::pre;
        });
        const auto holds_values = [](const checkpoint::TensorEntry& tensor) {
            return is_arithmetic(tensor.dtype) ||
                   (is_block_quantised(tensor.dtype) && has_values(tensor.dtype));
        };
        if (computes && !(holds_values(*change.post) && takes_values(change.post->dtype) &&
                          holds_values(*change.pre))) {
            problems.push_back(
                format("tensor {} is {} in pre and {} in post: --method {} computes with values, "
                       "which F64, F32, F16, BF16 and most types of GGUF hold (qk, q, k, v copy "
                       "bytes)",
                       in_quotes(change.post->name),
                       anamnesis::to_string(change.pre->dtype),
                       anamnesis::to_string(change.post->dtype),
                       to_string(request.selection.method)));
        }
    }
}

/// Problems that differ by numbers alone are told once, with the count and three of them.
std::string join_alike(const std::vector<std::string>& problems) {
    std::vector<std::string> order;
    std::map<std::string, std::vector<std::string>> alike;
    for (const std::string& problem : problems) {
        std::string pattern;
        for (const char c : problem) {
            if (c < '0' || c > '9') {
                pattern += c;
            } else if (!pattern.ends_with('#')) {
                pattern += '#';
            }
        }
        // W_Q and W_K of a layer are one fault.
        for (const std::string_view name : {"q_proj", "k_proj", "v_proj"}) {
            if (const std::size_t at = pattern.find(name); at != std::string::npos) {
                pattern.replace(at, name.size(), "_proj");
            }
        }
        if (alike[pattern].empty()) {
            order.push_back(pattern);
        }
        alike[pattern].push_back(problem);
    }
    std::vector<std::string> lines;
    for (const std::string& pattern : order) {
        const auto& group = alike[pattern];
        const std::size_t shown = group.size() > checkpoint::most_examples ? 1 : group.size();
        lines.insert(
            lines.end(), group.begin(), group.begin() + static_cast<std::ptrdiff_t>(shown));
        if (group.size() > shown) {
            lines.push_back(format("and {} more tensors like this one", group.size() - shown));
        }
    }
    return join(lines, "; ");
}

/// Rows that mean something else are no repair.
void refuse_other_rows(const Request& request, const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
        const bool is_unrelated = finding.code == unrelated_code;
        if (!is_unrelated && finding.code != rotary_order_code) {
            continue;
        }
        const Allowance allowance = is_unrelated ? Allowance::unrelated : Allowance::rotary;
        if (!request.allowed.contains(allowance)) {
            throw Error(ErrorKind::mismatch,
                        format("pre and post do not fit: {} (--allow {} overrides)",
                               describe(finding),
                               to_string(allowance)));
        }
    }
}

void order_by_file(std::vector<TensorChange>& changes) {
    std::ranges::sort(changes, {}, [](const TensorChange& change) {
        return std::pair(change.post->file, change.post->offset);
    });
}

}  // namespace

std::uint64_t TensorChange::changed_rows() const {
    return std::accumulate(
        splices.begin(),
        splices.end(),
        std::uint64_t{0},
        [](std::uint64_t sum, const auto& splice) { return sum + splice.rows.size(); });
}

bool TensorChange::is_exact() const {
    return !is_converted() && std::ranges::all_of(splices, [](const RowSplice& splice) {
        return splice.source == RowSource::pre;
    });
}

std::uint64_t HeadRows::matrix_rows() const {
    switch (layout) {
        case MatrixLayout::rows:
            return rows;
        case MatrixLayout::stacked:
            return post->shape[1];
        case MatrixLayout::transposed:
            break;
    }
    return post->shape[2];
}

std::uint64_t HeadRows::matrix_columns() const {
    switch (layout) {
        case MatrixLayout::rows:
            return post->columns();
        case MatrixLayout::stacked:
            return post->shape.size() < 3 ? 1 : post->shape[2];
        case MatrixLayout::transposed:
            break;
    }
    return post->shape[1];
}

std::uint64_t Plan::changed_bytes() const {
    return std::accumulate(
        changes.begin(),
        changes.end(),
        std::uint64_t{0},
        [](std::uint64_t sum, const auto& change) { return sum + change.changed_bytes(); });
}

std::vector<std::uint32_t> Plan::changed_layers() const {
    std::set<std::uint32_t> numbers;
    for (const TensorChange& change : changes) {
        if (change.layer) {
            numbers.insert(change.layer->value);
        }
    }
    return {numbers.begin(), numbers.end()};
}

Plan make_plan(const RecognisedCheckpoint& original_pre,
               const RecognisedCheckpoint& post,
               const Request& request) {
    refuse_same_source(original_pre, post);
    check_request(post, request);
    if (request.selection.method == Method::align &&
        post.model.qk_norm != checkpoint::QkNorm::none) {
        throw Error(
            ErrorKind::unsupported,
            format("--method align needs a gauge, and with the QK-norm of {} no rotation of "
                   "a head is a symmetry; use qk or pro",
                   post.model.family));
    }
    Plan plan;
    plan.view = match_container(original_pre, post, request.via);
    const RecognisedCheckpoint& pre = plan.view ? *plan.view : original_pre;
    plan.pre = &pre;
    plan.post = &post;
    plan.request = request;
    std::vector<Finding> of_request;
    std::vector<std::string> problems = find_disagreements(pre, post, request, of_request);
    plan.changes = select_rows(pre, post, request.selection, problems, of_request);
    if (request.selection.method == Method::fit) {
        leave_unfitted(post, plan.changes, of_request);
    }
    mark_sources(request, plan.changes, problems);
    for (TensorChange& scale : select_scales(pre, post, plan.changes, problems, of_request)) {
        plan.changes.push_back(std::move(scale));
    }
    plan_gguf(plan, problems, of_request);
    if (!problems.empty()) {
        throw Error(ErrorKind::mismatch,
                    format("pre and post do not fit: {}", join_alike(problems)));
    }
    plan.findings = collect_findings(pre, post);
    append_findings(plan.findings, of_request, "pair");
    refuse_other_rows(request, plan.findings);
    if (plan.changes.empty()) {
        refuse_empty_selection(post, request.selection);
    }
    order_by_file(plan.changes);
    if (request.selection.method == Method::pro || request.selection.method == Method::align) {
        plan.groups = routing_groups(pre, post, request.selection);
    }
    if (request.selection.method == Method::fit) {
        plan.fits = make_fit_groups(post, plan.changes, request);
    }
    return plan;
}

}  // namespace anamnesis::restore
