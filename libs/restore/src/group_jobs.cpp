// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/alignment.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"
#include "anamnesis/restore/request.hpp"

#include "head_rows.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

/// Everything that the jobs of one plan share.
struct GroupWork {
    const Plan* plan = nullptr;
    std::span<const RowTargets> outputs;
    const Execution* execution = nullptr;
    std::unordered_map<const checkpoint::TensorEntry*, std::size_t> change_of;
};

std::string name_of_group(const RoutingGroup& group) {
    return format("{}, {}",
                  group.layer ? format("layer {}", group.layer->value) : std::string("draft head"),
                  group.is_shared_key ? std::string("the rotary rows all heads share")
                                      : format("key head {}", group.kv_head));
}

/// Rounds computed rows to the checkpoint's dtype and writes them, bias and all.
void write_block(const GroupWork& work,
                 const HeadBlock& block,
                 linalg::MatrixView<const double> values,
                 const RowTargets& output) {
    const auto write = [&](const HeadRows& rows, std::size_t first_column) {
        const auto found = work.change_of.find(rows.post);
        if (found == work.change_of.end()) {
            return;
        }
        const TensorChange& change = work.plan->changes[found->second];
        const ChangeTarget& target = output[found->second];
        const std::uint64_t row_bytes = rows.post->row_bytes();
        const std::size_t columns = rows.post->columns();
        std::vector<std::byte> bytes(rows.rows * row_bytes);
        for (std::uint64_t row = 0; row < rows.rows; ++row) {
            narrow(rows.post->dtype,
                   std::span(values.data() + row * values.stride() + first_column, columns),
                   std::span(bytes).subspan(row * row_bytes, row_bytes));
        }
        target.file->write_at(offset_of_row(change, target, rows.post_row), bytes);
        work.execution->advance(bytes.size());
    };
    write(block.weight, 0);
    if (block.bias) {
        write(*block.bias, values.columns() - 1);
    }
}

void filter_group(const GroupWork& work, const RoutingGroup& group) {
    const Plan& plan = *work.plan;
    const bool is_augmented =
        group.key.bias || std::ranges::any_of(group.queries, [](const HeadBlock& query) {
            return query.bias.has_value();
        });
    const linalg::Matrix key = load_block(Side::pre, group.key, is_augmented);
    std::vector<double> query_gain;
    std::vector<double> key_gain;
    if (plan.request.metric == ProMetric::gain) {
        query_gain = load_gain(*plan.post, group.query_gain);
        key_gain = load_gain(*plan.post, group.key_gain);
    }
    const ProFilter filter(key.view(),
                           {.metric = plan.request.metric,
                            .rotary = group.rotary,
                            .query_gain = query_gain,
                            .key_gain = key_gain});
    std::vector<double> lambdas;
    for (const Lambda& lambda : plan.request.lambdas) {
        lambdas.push_back(lambda.is_relative ? filter.absolute_lambda(lambda.value) : lambda.value);
    }
    // Made for the first query; the others of the group have its shape.
    std::vector<linalg::Matrix> results(lambdas.size());
    std::vector<linalg::MatrixView<double>> views(lambdas.size());
    for (const HeadBlock& query : group.queries) {
        work.execution->check();
        const linalg::Matrix pre = load_block(Side::pre, query, is_augmented);
        const linalg::Matrix post = load_block(Side::post, query, is_augmented);
        for (std::size_t i = 0; i < lambdas.size(); ++i) {
            if (results[i].rows() != pre.rows() || results[i].columns() != pre.columns()) {
                results[i] = linalg::Matrix(pre.rows(), pre.columns());
                views[i] = results[i].view();
            }
        }
        filter.apply(lambdas, pre.view(), post.view(), views);
        for (std::size_t i = 0; i < lambdas.size(); ++i) {
            write_block(work, query, views[i], work.outputs[i]);
        }
    }
}

void align_group(const GroupWork& work, const RoutingGroup& group) {
    const auto load = [&](Side side, const HeadBlock& block) {
        return load_block(side, block, block.bias.has_value());
    };
    GaugeFit fit(group.key.weight.rows, group.rotary);
    const auto add = [&](const HeadBlock& block) {
        const linalg::Matrix pre = load(Side::pre, block);
        const linalg::Matrix post = load(Side::post, block);
        fit.add(pre, post);
    };
    add(group.key);
    for (const HeadBlock& query : group.queries) {
        add(query);
    }
    const Gauge gauge = fit.solve();
    const auto turn = [&](const HeadBlock& block) {
        const linalg::Matrix pre = load(Side::pre, block);
        linalg::Matrix aligned(pre.view().rows(), pre.view().columns());
        gauge.apply(pre.view(), aligned.view());
        write_block(work, block, aligned.view(), work.outputs[0]);
    };
    turn(group.key);
    for (const HeadBlock& query : group.queries) {
        work.execution->check();
        turn(query);
    }
}

}  // namespace

void add_group_jobs(const Plan& plan,
                    std::span<const RowTargets> outputs,
                    const Execution& execution,
                    Jobs& jobs) {
    if (plan.groups.empty()) {
        return;
    }
    // The jobs run side by side; BLAS threads of its own would only get in their way.
    linalg::set_blas_threads(1);
    GroupWork work{.plan = &plan, .outputs = outputs, .execution = &execution, .change_of = {}};
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        work.change_of.emplace(plan.changes[i].post, i);
    }
    for (const RoutingGroup& group : plan.groups) {
        jobs.emplace_back([work, &group] {
            in_context([&] { return format("repairing {}", name_of_group(group)); },
                       [&] {
                           if (work.plan->request.selection.method == Method::pro) {
                               filter_group(work, group);
                           } else {
                               align_group(work, group);
                           }
                       });
        });
    }
}

}  // namespace anamnesis::restore
