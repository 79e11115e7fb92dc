// SPDX-License-Identifier: Apache-2.0
#include "choose_mu.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/language/supervised_text.hpp"

#include "calibrator.hpp"
#include "moment_sums.hpp"
#include "refit.hpp"

namespace anamnesis::calibration {
namespace {

/// Of what post predicts without a fault, the share that must stay.
constexpr double least_kept = 0.99;

Json describe(const Predictions& made, double loss) {
    return Json::Object{{"right_chains", std::uint64_t{made.right_texts}},
                        {"right_tokens", std::uint64_t{made.right_tokens}},
                        {"loss", loss}};
}

double find_mean_loss(const Predictions& made) {
    return made.losses.mean().item<double>();
}

}  // namespace

MuChoice choose_mu(const Calibrator& calibrator,
                   const MomentSums& moments,
                   std::span<const language::SupervisedText> seen,
                   std::span<const language::SupervisedText> held_back,
                   std::uint32_t rounds) {
    const Predictions of_post = calibrator.predict(held_back);
    const bool counts_tokens = of_post.right_texts * 2 < held_back.size();
    const auto count = [&](const Predictions& made) {
        return static_cast<double>(counts_tokens ? made.right_tokens : made.right_texts);
    };
    MuChoice choice;
    Json tried = Json::array();
    for (const double mu : tried_mus) {
        const auto solved = refit(calibrator, moments, seen, mu, rounds);
        const Predictions made =
            calibrator.predict(held_back, calibrator.make_repair(*solved, mu, /*is_rounded=*/true));
        Json line = describe(made, find_mean_loss(made));
        line.set("mu", mu);
        tried.push_back(std::move(line));
        choice.mu = mu;
        if (count(made) >= least_kept * count(of_post)) {
            break;
        }
    }
    choice.curve = Json::Object{{"chosen", choice.mu},
                                {"counts", counts_tokens ? "tokens" : "chains"},
                                {"held_back_chains", std::uint64_t{held_back.size()}},
                                {"post", describe(of_post, find_mean_loss(of_post))},
                                {"tried", std::move(tried)}};
    return choice;
}

}  // namespace anamnesis::calibration
