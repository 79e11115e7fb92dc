// SPDX-License-Identifier: Apache-2.0
#include "refit.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/ops/ones_like.h>

#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"

#include "calibrator.hpp"
#include "moment_sums.hpp"

namespace anamnesis::calibration {
namespace {

constexpr double most_raised = 50.0;
constexpr double least_mean_excess = 1e-4;

/// The part of the first solution's moment that stays beside the raised one. Zero: it is replaced.
double find_kept_share(std::string_view part) {
    return part.starts_with("k_") ? 0.5 : part == "v" || part == "v_latent" ? 0.1 : 0.0;
}

/// The first moments with the chains' side replaced.
MomentSums replace_chains(const MomentSums& first, const MomentSums& raised) {
    MomentSums replaced = first;
    // The weights of chains were raised for all texts.
    replaced.forget_held_back();
    for (const restore::MomentKey& key : raised.keys()) {
        const double kept = find_kept_share(key.part);
        const at::Tensor& sum = raised.at(key);
        replaced.replace(key, kept == 0.0 ? sum : scaled(sum) + kept * scaled(first.at(key)));
    }
    return replaced;
}

}  // namespace

at::Tensor raise_weights(const at::Tensor& weights,
                         const at::Tensor& losses,
                         const at::Tensor& losses_of_post) {
    const at::Tensor excess = (losses - losses_of_post).clamp_min(0);
    const double mean = std::max(excess.mean().item<double>(), least_mean_excess);
    return weights + (excess / mean).clamp_max(most_raised);
}

std::shared_ptr<const restore::MomentSet> refit(const Calibrator& calibrator,
                                                const MomentSums& first,
                                                std::span<const language::SupervisedText> chains,
                                                double mu,
                                                std::uint32_t rounds,
                                                std::vector<at::Tensor>* weights) {
    auto moments = std::make_shared<const restore::MomentSet>(first.finish());
    if (rounds == 0) {
        return moments;
    }
    const at::Tensor of_post = calibrator.predict(chains).losses;
    at::Tensor raised = at::ones_like(of_post);
    for (std::uint32_t round = 0; round < rounds; ++round) {
        const auto repair = calibrator.make_repair(*moments, mu, /*is_rounded=*/false);
        raised = raise_weights(raised, calibrator.predict(chains, repair).losses, of_post);
        const at::Tensor divided = raised / raised.mean();
        if (weights != nullptr) {
            weights->push_back(divided);
        }
        moments = std::make_shared<const restore::MomentSet>(
            replace_chains(first, calibrator.sum_raised(chains, divided)).finish());
    }
    return moments;
}

}  // namespace anamnesis::calibration
