// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <semaphore>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "block_writer.hpp"
#include "fit_memory.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

/// One of the places for groups that are fitted at a time.
class Place {
public:
    explicit Place(std::counting_semaphore<>& places) : places_(places) { places_.acquire(); }
    ~Place() { places_.release(); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

private:
    std::counting_semaphore<>& places_;
};

void fit_group(const BlockWriter& work, const FitGroup& group) {
    const Plan& plan = work.plan();
    const MomentSource* loaded = nullptr;
    GroupMoments moments;
    for (std::size_t output = 0; output < work.outputs(); ++output) {
        work.execution().check();
        // Without rounds all outputs have the same moments.
        if (plan.moments[output].get() != loaded) {
            loaded = plan.moments[output].get();
            moments = load_group_moments(group, *loaded);
        }
        compute_fit(
            group,
            moments,
            {.mu = plan.request.fit.mus[output], .scales_inputs = plan.request.fit.scales_inputs},
            [&](const HeadBlock& block, const linalg::Matrix& rows) {
                work.execution().check();
                work.write(block, rows.view(), output);
            });
    }
}

}  // namespace

void add_fit_jobs(const Plan& plan,
                  std::span<const RowTargets> outputs,
                  const Execution& execution,
                  Jobs& jobs) {
    if (plan.fits.empty()) {
        return;
    }
    ANAMNESIS_CHECK(plan.moments.size() == outputs.size(), "a plan to fit lacks its moments");
    const unsigned side_by_side = count_fits_side_by_side(plan, execution.threads);
    // Jobs that run side by side need no threads of BLAS.
    const unsigned of_each = std::max(1U, execution.threads / side_by_side);
    linalg::set_blas_threads(of_each);
    const auto places = std::make_shared<std::counting_semaphore<>>(side_by_side);
    const auto work = std::make_shared<const BlockWriter>(plan, outputs, execution);
    for (const FitGroup& group : plan.fits) {
        jobs.emplace_back([work, places, of_each, &group] {
            const Place place(*places);
            const linalg::OwnBlasThreads threads(of_each);
            in_context(
                [&] {
                    return group.layer
                               ? format("fitting layer {}, {}", group.layer->value, group.part)
                               : format("fitting {}", group.part);
                },
                [&] { fit_group(*work, group); });
        });
    }
}

}  // namespace anamnesis::restore
