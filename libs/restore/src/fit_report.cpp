// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/linalg/cholesky.hpp"
#include "anamnesis/linalg/inertia.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "fit_memory.hpp"
#include "fit_stacks.hpp"
#include "head_rows.hpp"

namespace anamnesis::restore {
namespace {

using Blocks = std::span<const HeadBlock>;

constexpr std::size_t most_blocks = 16;
/// Rows that are measured: their figures are sums over all of them.
constexpr std::size_t most_rows = 256;

/// The group with some of its blocks, evenly spaced.
FitGroup take_blocks(const FitGroup& group) {
    FitGroup taken = group;
    const std::size_t step = (group.rows.size() + most_blocks - 1) / most_blocks;
    taken.rows.clear();
    for (std::size_t i = 0; i < group.rows.size(); i += step) {
        taken.rows.push_back(group.rows[i]);
    }
    return taken;
}

/// Rows of as many matrices as energies are wanted of.
using Differences = std::array<linalg::Matrix, 3>;

/// What a moment says of rows: tr(D S D^T), the sum of |D x|^2.
class Measure {
public:
    Measure(const FitGroup& group, const Moment& moment) : group_(group), moment_(moment) {}

    /// Of each: every `step`-th row of the blocks, which share a moment.
    std::array<double, 3> operator()(Blocks blocks,
                                     const Differences& differences,
                                     std::size_t step) const {
        std::array<double, 3> energies{};
        const HeadBlock& first = blocks.front();
        const std::size_t count = differences.front().rows();
        if (group_.part == "embedding") {
            for (std::size_t k = 0; k < energies.size(); ++k) {
                for (std::size_t i = 0; i < count; ++i) {
                    energies[k] += moment_.diagonal[first.weight.post_row + i * step] *
                                   linalg::sum_of_squares(differences[k].view().row_block(i, 1));
                }
            }
            return energies;
        }
        // In one product: it reads the moment once.
        linalg::Matrix all(energies.size() * count, differences.front().columns());
        for (std::size_t k = 0; k < energies.size(); ++k) {
            linalg::copy(differences[k].view(), all.view().row_block(k * count, count));
        }
        const linalg::Matrix product = linalg::product(all, of_head(moment_, first.head));
        for (std::size_t k = 0; k < energies.size(); ++k) {
            energies[k] =
                linalg::dot(product.view().row_block(k * count, count), differences[k].view());
        }
        return energies;
    }

private:
    const FitGroup& group_;
    const Moment& moment_;
};

/// Energies of one side's inputs: of what W and the other checkpoint do wrong, and of all.
struct Energies {
    double fit = 0.0;
    double other = 0.0;
    double all = 0.0;

    static Json divide(double part, double all) {
        return all > 0.0 ? Json(std::sqrt(std::max(part, 0.0) / all)) : Json();
    }
    Json of_fit() const { return divide(fit, all); }
    Json of_other() const { return divide(other, all); }
};

struct SideEnergies {
    Energies recall;
    Energies chains;
};

class Distances {
public:
    Distances(const FitGroup& group, std::size_t step) : group_(group), step_(step) {}

    void add(const GroupMoments& moments,
             Blocks blocks,
             const linalg::Matrix& fitted,
             SideEnergies& sum) const {
        const linalg::Matrix pre = load_stack(Side::pre, blocks, group_.has_bias, step_);
        const linalg::Matrix post = load_stack(Side::post, blocks, group_.has_bias, step_);
        const auto add_side =
            [&](const Moment& moment, const linalg::Matrix& wanted, Energies& energies) {
                const Measure measure(group_, moment);
                const auto [fit, other, all] =
                    measure(blocks,
                            {linalg::difference(fitted.view(), wanted.view()),
                             linalg::difference(post.view(), pre.view()),
                             wanted},
                            step_);
                energies.fit += fit;
                energies.other += other;
                energies.all += all;
            };
        add_side(moments.recall, pre, sum.recall);
        add_side(moments.chains, post, sum.chains);
    }

private:
    const FitGroup& group_;
    std::size_t step_;
};

/// A = S_R + mu S_C of one head; of an infinite mu S_C alone.
linalg::Matrix add_sides(const GroupMoments& moments, std::uint32_t head, double mu) {
    const linalg::Matrix& chains = of_head(moments.chains, head);
    linalg::Matrix sum = std::isinf(mu)
                             ? linalg::Matrix(chains.rows(), chains.columns())
                             : linalg::Matrix::from_view(of_head(moments.recall, head).view());
    const double weight = std::isinf(mu) ? 1.0 : mu;
    for (std::size_t i = 0; i < sum.values().size(); ++i) {
        sum.values()[i] += weight * chains.values()[i];
    }
    return sum;
}

/// The least rank and the worst condition of all heads.
struct Solvability {
    std::size_t rank = std::numeric_limits<std::size_t>::max();
    double condition = 1.0;

    void add(linalg::Matrix sum) {
        const double eps = fit_ridge * linalg::trace(sum.view()) / static_cast<double>(sum.rows());
        linalg::Matrix ridged = linalg::Matrix::from_view(sum.view());
        for (std::size_t i = 0; i < ridged.rows(); ++i) {
            ridged(i, i) += eps;
        }
        condition =
            std::max(condition, linalg::CholeskyFactor(std::move(ridged)).estimate_condition());
        rank = std::min(rank, linalg::count_eigenvalues_above(std::move(sum), eps));
    }

    /// Of a diagonal A, whose trace is its size times 1 + mu.
    void add_diagonal(const GroupMoments& moments, double mu) {
        const double weight = std::isinf(mu) ? 1.0 : mu;
        const double of_recall = std::isinf(mu) ? 0.0 : 1.0;
        const double eps = fit_ridge * (of_recall + weight);
        double least = std::numeric_limits<double>::infinity();
        double most = 0.0;
        rank = 0;
        for (std::size_t i = 0; i < moments.recall.diagonal.size(); ++i) {
            const double value =
                of_recall * moments.recall.diagonal[i] + weight * moments.chains.diagonal[i];
            rank += value > eps ? 1 : 0;
            least = std::min(least, value + eps);
            most = std::max(most, value + eps);
        }
        condition = most / least;
    }
};

Solvability measure_solvability(const FitGroup& group, const GroupMoments& moments, double mu) {
    Solvability found;
    if (group.part == "embedding") {
        found.add_diagonal(moments, mu);
        return found;
    }
    const bool has_own_heads =
        moments.recall.matrices.size() > 1 || moments.chains.matrices.size() > 1;
    std::optional<std::uint32_t> last;
    for (const HeadBlock& block : group.rows) {
        if (!last || (has_own_heads && *last != block.head)) {
            last = block.head;
            linalg::Matrix sum = add_sides(moments, block.head, mu);
            // An expert that no token reaches has no inputs at all.
            if (linalg::trace(sum.view()) > 0.0) {
                found.add(std::move(sum));
            } else {
                found.rank = 0;
            }
        }
    }
    return found;
}

Json describe_tokens(const Moment& moment) {
    if (moment.counts.empty()) {
        return {};
    }
    // Heads read the same tokens, experts their own.
    const bool is_one = std::ranges::adjacent_find(moment.counts, std::ranges::not_equal_to()) ==
                        moment.counts.end();
    return is_one ? moment.counts.front()
                  : std::accumulate(moment.counts.begin(), moment.counts.end(), std::uint64_t{0});
}

}  // namespace

Json describe_fit(const FitGroup& group, const MomentSource& source, const FitBalance& balance) {
    const FitGroup looked_at = take_blocks(group);
    std::size_t rows = 0;
    for (const HeadBlock& block : looked_at.rows) {
        rows += block.weight.matrix_rows();
    }
    const std::size_t step = std::max<std::size_t>(1, (rows + most_rows - 1) / most_rows);
    GroupMoments moments = load_group_moments(looked_at, source);
    const Solvability solvability = measure_solvability(looked_at, moments, balance.mu);
    const std::size_t inputs = moments.recall.matrices.empty()
                                   ? moments.recall.diagonal.size()
                                   : moments.recall.matrices.front().rows();
    Json::Object tokens{{"recall", describe_tokens(moments.recall)},
                        {"chains", describe_tokens(moments.chains)}};
    const std::optional<GroupMoments> held_back = load_held_back_moments(looked_at, source);
    if (held_back) {
        moments = {};  // as large as those that come
        moments = load_other_moments(looked_at, source, *held_back);
    }
    SideEnergies on_seen;
    SideEnergies on_held_back;
    const Distances distances(looked_at, step);
    const auto take = [&](Blocks blocks, const linalg::Matrix& fitted) {
        distances.add(moments, blocks, fitted, on_seen);
        if (held_back) {
            distances.add(*held_back, blocks, fitted, on_held_back);
        }
    };
    compute_fit_in_stacks(looked_at, moments, balance, take, step);
    const auto describe_side =
        [&](const Energies& of_seen, const Energies& of_held_back, const char* other) {
            return Json::Object{{"seen", of_seen.of_fit()},
                                {"held_back", of_held_back.of_fit()},
                                {other, (held_back ? of_held_back : of_seen).of_other()}};
        };
    return Json::Object{{"layer", group.layer ? Json(group.layer->value) : Json()},
                        {"part", group.part},
                        {"inputs", std::uint64_t{inputs}},
                        {"tokens", std::move(tokens)},
                        {"rank", std::uint64_t{solvability.rank}},
                        {"condition", solvability.condition},
                        {"recall", describe_side(on_seen.recall, on_held_back.recall, "post")},
                        {"chains", describe_side(on_seen.chains, on_held_back.chains, "pre")}};
}

std::vector<checkpoint::Finding> report_fit(Plan& plan, const Execution& execution) {
    plan.request.fit.reports.clear();
    const unsigned side_by_side = count_fits_side_by_side(plan, execution.threads);
    const unsigned of_each = std::max(1U, execution.threads / side_by_side);
    linalg::set_blas_threads(of_each);
    for (std::size_t output = 0; output < plan.request.fit.mus.size(); ++output) {
        std::vector<Json> groups(plan.fits.size());
        parallel_for(groups.size(), side_by_side, [&](std::size_t i) {
            execution.check();
            const linalg::OwnBlasThreads threads(of_each);
            groups[i] = describe_fit(plan.fits[i],
                                     *plan.moments[output],
                                     {.mu = plan.request.fit.mus[output],
                                      .scales_inputs = plan.request.fit.scales_inputs});
        });
        Json list = Json::array();
        for (Json& group : groups) {
            list.push_back(std::move(group));
        }
        plan.request.fit.reports.push_back(std::move(list));
    }
    std::vector<checkpoint::Finding> findings = find_few_inputs(plan);
    append_findings(plan.findings, findings, "pair");
    return findings;
}

}  // namespace anamnesis::restore
