// SPDX-License-Identifier: Apache-2.0
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

#include "block_writer.hpp"
#include "head_rows.hpp"
#include "pro_heads.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

std::string name_of_group(const RoutingGroup& group) {
    return format("{}, {}",
                  group.layer ? format("layer {}", group.layer->value) : std::string("draft head"),
                  group.is_shared_key ? std::string("the rotary rows all heads share")
                                      : format("key head {}", group.kv_head));
}

void filter_group(const BlockWriter& work, const RoutingGroup& group) {
    const Plan& plan = work.plan();
    const bool is_augmented = has_bias_column(group);
    const ProFilter filter = make_pro_filter(group, plan.request.metric, *plan.post);
    std::vector<double> lambdas;
    for (const Lambda& lambda : plan.request.lambdas) {
        lambdas.push_back(lambda.is_relative ? filter.absolute_lambda(lambda.value) : lambda.value);
    }
    // Made for the first query; the others of the group have its shape.
    std::vector<linalg::Matrix> results(lambdas.size());
    std::vector<linalg::MatrixView<double>> views(lambdas.size());
    for (const HeadBlock& query : group.queries) {
        work.execution().check();
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
            work.write(query, views[i], i);
        }
    }
}

void align_group(const BlockWriter& work, const RoutingGroup& group) {
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
        work.write(block, aligned.view(), 0);
    };
    turn(group.key);
    for (const HeadBlock& query : group.queries) {
        work.execution().check();
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
    const BlockWriter work(plan, outputs, execution);
    for (const RoutingGroup& group : plan.groups) {
        jobs.emplace_back([work, &group] {
            const linalg::OwnBlasThreads one(1);
            in_context([&] { return format("repairing {}", name_of_group(group)); },
                       [&] {
                           if (work.plan().request.selection.method == Method::pro) {
                               filter_group(work, group);
                           } else {
                               align_group(work, group);
                           }
                       });
        });
    }
}

}  // namespace anamnesis::restore
