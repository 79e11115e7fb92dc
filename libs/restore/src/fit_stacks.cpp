// SPDX-License-Identifier: Apache-2.0
#include "fit_stacks.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "head_rows.hpp"

namespace anamnesis::restore {
namespace {

/// Rows that are fitted in one product: enough that the matrix they meet, which is read once for
/// each product, does not count.
constexpr std::size_t most_rows = 1024;

using Blocks = std::span<const HeadBlock>;

std::size_t count_rows(const HeadBlock& block, std::size_t step) {
    return (block.weight.matrix_rows() + step - 1) / step;
}

/// The blocks in their order, those together that are fitted in one product.
std::vector<Blocks> divide(const FitGroup& group, bool is_by_head, std::size_t step) {
    std::vector<Blocks> stacks;
    const Blocks all(group.rows);
    std::size_t first = 0;
    std::size_t rows = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::size_t more = count_rows(all[i], step);
        if (i > first &&
            (rows + more > most_rows || (is_by_head && all[i].head != all[first].head))) {
            stacks.push_back(all.subspan(first, i - first));
            first = i;
            rows = 0;
        }
        rows += more;
    }
    if (first < all.size()) {
        stacks.push_back(all.subspan(first));
    }
    return stacks;
}

/// Shapes: `load` gives [matrix_rows, inputs] of a block.
linalg::Matrix stack_rows(Blocks blocks,
                          std::size_t step,
                          const std::function<linalg::Matrix(const HeadBlock&)>& load) {
    linalg::Matrix stack;
    std::size_t first = 0;
    for (const HeadBlock& block : blocks) {
        const linalg::Matrix all = load(block);
        const linalg::MatrixView<const double> rows = all.view().every_row(step);
        if (first == 0) {
            std::size_t count = 0;
            for (const HeadBlock& each : blocks) {
                count += count_rows(each, step);
            }
            stack = linalg::Matrix(count, rows.columns());
        }
        linalg::copy(rows, stack.view().row_block(first, rows.rows()));
        first += rows.rows();
    }
    return stack;
}

/// The rows of a target that are for blocks: heads follow one another.
linalg::Matrix load_target(const Moment& moment, Blocks blocks, std::size_t step) {
    return stack_rows(blocks, step, [&](const HeadBlock& block) {
        return linalg::Matrix::from_view(
            moment.target.view().row_block(block.head * block.weight.rows, block.weight.rows));
    });
}

void mix_tokens(const FitGroup& group,
                const GroupMoments& moments,
                double mu,
                const TakeStack& take,
                std::size_t step) {
    for (const HeadBlock& block : group.rows) {
        const auto cut = [&](const Moment& moment) {
            return std::span(moment.diagonal).subspan(block.weight.post_row, block.weight.rows);
        };
        const linalg::Matrix pre = load_block(Side::pre, block, false);
        const linalg::Matrix post = load_block(Side::post, block, false);
        const linalg::Matrix rows =
            mix_token_rows(cut(moments.recall), cut(moments.chains), mu, pre.view(), post.view());
        take({&block, 1}, linalg::Matrix::from_view(rows.view().every_row(step)));
    }
}

}  // namespace

linalg::Matrix load_stack(Side side, Blocks blocks, bool is_augmented, std::size_t step) {
    return stack_rows(blocks, step, [&](const HeadBlock& block) {
        return load_block(side, block, is_augmented);
    });
}

void compute_fit_in_stacks(const FitGroup& group,
                           const GroupMoments& moments,
                           const FitBalance& balance,
                           const TakeStack& take,
                           std::size_t step) {
    if (group.part == "embedding") {
        mix_tokens(group, moments, balance.mu, take, step);
        return;
    }
    const bool has_own_heads =
        moments.recall.matrices.size() > 1 || moments.chains.matrices.size() > 1;
    // A factor is as large as a moment: only the latest is kept.
    std::optional<FitFilter> filter;
    std::optional<std::uint32_t> head;
    for (const Blocks blocks : divide(group, has_own_heads || is_of_experts(group.part), step)) {
        const HeadBlock& first = blocks.front();
        linalg::Matrix post = load_stack(Side::post, blocks, group.has_bias, step);
        if (balance.mu > 0.0 && has_few_inputs(group, first, moments)) {
            take(blocks, std::move(post));
            continue;
        }
        if (!filter || (has_own_heads && head != first.head)) {
            filter.emplace(of_head(moments.recall, first.head).view(),
                           of_head(moments.chains, first.head).view(),
                           balance);
            head = first.head;
        }
        const linalg::Matrix pre = load_stack(Side::pre, blocks, group.has_bias, step);
        if (has_target(group.part)) {
            const linalg::Matrix target = load_target(moments.recall, blocks, step);
            take(blocks, filter->apply_to_target(target.view(), pre.view(), post.view()));
        } else {
            take(blocks, filter->apply(pre.view(), post.view()));
        }
    }
}

void compute_fit(const FitGroup& group,
                 const GroupMoments& moments,
                 const FitBalance& balance,
                 const TakeRows& take) {
    const auto divide_stack = [&](Blocks blocks, const linalg::Matrix& rows) {
        std::size_t first = 0;
        for (const HeadBlock& block : blocks) {
            const std::size_t count = count_rows(block, 1);
            take(block, linalg::Matrix::from_view(rows.view().row_block(first, count)));
            first += count;
        }
    };
    compute_fit_in_stacks(group, moments, balance, divide_stack, 1);
}

}  // namespace anamnesis::restore
