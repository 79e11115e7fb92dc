// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <memory>
#include <optional>
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
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

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
        const auto fitted = compute_fit(group, moments, plan.request.fit.mus[output]);
        for (std::size_t i = 0; i < fitted.size(); ++i) {
            work.write(group.rows[i], fitted[i].view(), output);
        }
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
    // The jobs run side by side; BLAS threads of its own would only get in their way.
    linalg::set_blas_threads(1);
    const auto work = std::make_shared<const BlockWriter>(plan, outputs, execution);
    for (const FitGroup& group : plan.fits) {
        jobs.emplace_back([work, &group] {
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
