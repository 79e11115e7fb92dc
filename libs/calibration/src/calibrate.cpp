// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/calibration/calibrate.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "calibrator.hpp"
#include "choose_mu.hpp"
#include "moment_memory.hpp"
#include "moment_spill.hpp"
#include "moment_sums.hpp"
#include "refit.hpp"

namespace anamnesis::calibration {
namespace {

using restore::CalibrationSide;
using Texts = std::vector<language::SupervisedText>;

/// Predicted tokens for each input of a matrix below which a side says too little.
/// Source: docs/method.md, "Fit".
constexpr double least_recall = 0.4;
constexpr double least_chains = 6.0;

std::size_t count_tokens(const Texts& texts) {
    std::size_t count = 0;
    for (const language::SupervisedText& text : texts) {
        count += text.ids.size();
    }
    return count;
}

/// Errors: `mismatch` for a side in which nothing is predicted.
void check_side(const CalibrationTexts& side, const char* what) {
    if (count_predictions(side.texts) == 0) {
        throw Error(ErrorKind::mismatch,
                    format("the {} predict nothing; give rows with responses or labels", what));
    }
}

/// A warning for each side that is too small to trust.
void warn_of_few(const CalibrationJob& job, std::uint64_t inputs, const Watch& watch) {
    const auto warn = [&](const CalibrationTexts& side, double least, const char* what) {
        const auto wanted = static_cast<std::uint64_t>(least * static_cast<double>(inputs) + 0.5);
        if (const std::size_t predicted = count_predictions(side.texts); predicted < wanted) {
            watch.warn(
                format("the {} predict {} tokens; for {} inputs of a matrix at least {} "
                       "are advised, and the repair may be the worse for it",
                       what,
                       predicted,
                       inputs,
                       wanted));
        }
    };
    warn(job.recall, least_recall, "recall texts");
    warn(job.chains, least_chains, "chains");
}

class Calibration {
public:
    Calibration(restore::Plan& plan, const CalibrationJob& job, const Watch& watch)
        : plan_(plan), job_(job), watch_(watch), calibrator_(plan, job.running, watch) {}

    void run() {
        calibrator_.check(job_.recall.texts, "recall texts");
        calibrator_.check(job_.chains.texts, "chains");
        tell_memory();
        watch_.progress().begin("calibrating", count_passes(), ProgressUnit::tokens);
        restore::FitSettings& fit = plan_.request.fit;
        Json choice;
        if (needs_all_at_once()) {
            MomentSums moments = calibrator_.sum(CalibrationSide::recall, job_.recall.texts);
            if (job_.chooses_mu) {
                choice = choose(moments);
            } else {
                moments.add(calibrator_.sum(CalibrationSide::chains, job_.chains.texts));
            }
            plan_.moments.clear();
            for (const double mu : fit.mus) {
                plan_.moments.push_back(
                    refit(calibrator_, moments, job_.chains.texts, mu, fit.rounds));
            }
        } else {
            // Without rounds, all outputs share one set.
            plan_.moments.assign(fit.mus.size(), collect());
        }
        fit.calibration =
            Json::Object{{"recall", job_.recall.description},
                         {"chains", job_.chains.description},
                         {"dtype",
                          job_.running.dtype ? std::string(to_string(*job_.running.dtype))
                                             : std::string("as stored")}};
        if (!choice.is_null()) {
            fit.calibration.set("auto", std::move(choice));
        }
        watch_.progress().finish();
    }

private:
    /// Rounds and the choice of mu solve for all layers again and again.
    bool needs_all_at_once() const { return job_.chooses_mu || plan_.request.fit.rounds > 0; }

    bool spills() const { return !needs_all_at_once() && memory_.all > job_.most_moment_bytes; }

    void tell_memory() const {
        const std::uint64_t streams =
            (needs_all_at_once()
                 ? std::max(count_tokens(job_.recall.texts), count_tokens(job_.chains.texts))
                 : count_tokens(job_.recall.texts) + count_tokens(job_.chains.texts)) *
            plan_.post->model.hidden_size * sizeof(float);
        if (spills()) {
            watch_.log(
                format("moments of {} go into temporary files layer by layer; in memory are "
                       "up to {} of them and {} of texts",
                       human_bytes(memory_.all),
                       human_bytes(2 * memory_.largest_layer),
                       human_bytes(streams)));
            return;
        }
        // Where a mu is chosen, recall, both halves of the chains, and sums of these.
        const std::uint64_t copies = job_.chooses_mu ? 3 : needs_all_at_once() ? 2 : 1;
        watch_.log(format("moments take about {} of memory, the streams of texts {}",
                          human_bytes(copies * memory_.all),
                          human_bytes(streams)));
    }

    std::shared_ptr<const restore::MomentSource> collect() const {
        auto spill = std::make_shared<MomentSpill>();
        auto set = std::make_shared<restore::MomentSet>();
        const auto take = [&](MomentSums layer) {
            if (spills()) {
                spill->put(layer.give_up());
            } else {
                set->merge(layer.give_up());
            }
        };
        calibrator_.visit(
            std::array{SideTexts{.side = CalibrationSide::recall, .texts = job_.recall.texts},
                       SideTexts{.side = CalibrationSide::chains, .texts = job_.chains.texts}},
            take);
        if (spills()) {
            return spill;
        }
        return set;
    }

    /// Adds the moments of all chains to those of recall; gives the curve.
    Json choose(MomentSums& moments) {
        Texts seen;
        Texts held_back;
        for (std::size_t i = 0; i < job_.chains.texts.size(); ++i) {
            (i % 2 == 0 ? seen : held_back).push_back(job_.chains.texts[i]);
        }
        if (held_back.empty()) {
            throw Error(ErrorKind::mismatch,
                        "--mu auto holds back every second chain, and there is only one; give "
                        "more chains or a number");
        }
        const MomentSums of_seen = calibrator_.sum(CalibrationSide::chains, seen);
        const MomentSums of_held_back = calibrator_.sum(CalibrationSide::chains, held_back);
        MomentSums known = moments;
        known.add(of_seen);
        const MuChoice choice =
            choose_mu(calibrator_, known, seen, held_back, plan_.request.fit.rounds);
        plan_.request.fit.mus = {choice.mu};
        plan_.request.fit.chooses_mu = false;
        known.add(of_held_back);
        moments = std::move(known);
        return choice.curve;
    }

    /// Tokens of all passes; where mu is chosen, as if all had to be tried.
    std::uint64_t count_passes() const {
        const std::size_t recall = count_tokens(job_.recall.texts);
        const std::size_t chains = count_tokens(job_.chains.texts);
        const std::size_t rounds = plan_.request.fit.rounds;
        const std::size_t solves = plan_.request.fit.mus.size();
        const std::size_t of_rounds = rounds == 0 ? 0 : (1 + 2 * rounds) * chains;
        const std::size_t of_choice =
            job_.chooses_mu ? (std::size(tried_mus) * (of_rounds + chains) + chains) / 2 : 0;
        return recall + chains + solves * of_rounds + of_choice;
    }

    restore::Plan& plan_;
    const CalibrationJob& job_;
    const Watch& watch_;
    MomentMemory memory_ = estimate_moments(plan_);
    Calibrator calibrator_;
};

/// Texts that the tokenizer has no tokens for, in part or as a whole.
std::optional<checkpoint::Finding> find_unknown_text(const restore::Plan& plan,
                                                     const CalibrationJob& job) {
    const auto folder = job.running.tokenizer.value_or(plan.post->checkpoint.folder());
    if (!job.running.tokenizer && !language::Tokenizer::is_in(folder)) {
        return std::nullopt;
    }
    const auto unknown = language::Tokenizer::open(folder).unknown_token();
    if (!unknown) {
        return std::nullopt;
    }
    std::uint64_t count = 0;
    for (const CalibrationTexts* side : {&job.recall, &job.chains}) {
        count += static_cast<std::uint64_t>(
            std::ranges::count_if(side->texts, [&](const language::SupervisedText& text) {
                return std::ranges::find(text.ids, std::int64_t{*unknown}) != text.ids.end();
            }));
    }
    if (count == 0) {
        return std::nullopt;
    }
    return checkpoint::Finding{
        .code = "unknown_tokens",
        .sentence =
            format("{} of {} calibration texts hold text that the tokenizer has no token for: "
                   "the fit sees other texts than these",
                   count,
                   job.recall.texts.size() + job.chains.texts.size()),
        .remedy = "give texts in words that the tokenizer has, or the model's own --tokenizer",
        .count = count};
}

/// Texts on which post does not run as it does on others, and chains that are no whole ones.
std::vector<checkpoint::Finding> find_odd_texts(const restore::Plan& plan,
                                                const CalibrationJob& job) {
    std::vector<checkpoint::Finding> findings;
    const auto& blueprint = plan.post->model.blueprint;
    const std::size_t context = blueprint == nullptr ? 0 : blueprint->context_length;
    std::size_t beyond = 0;
    for (const CalibrationTexts* side : {&job.recall, &job.chains}) {
        beyond += static_cast<std::size_t>(
            std::ranges::count_if(side->texts, [context](const language::SupervisedText& text) {
                return context != 0 && text.ids.size() > context;
            }));
    }
    if (beyond > 0) {
        findings.push_back(
            {.code = "texts_beyond_context",
             .sentence = format("{} texts are longer than post's context of {} tokens "
                                "(max_position_embeddings)",
                                beyond,
                                context),
             .remedy = "shorten them",
             .count = beyond});
    }
    if (const Json* cut = job.chains.description.find("cut")) {
        const std::uint64_t count = cut->as_unsigned("cut");
        findings.push_back(
            {.code = "chains_cut",
             .sentence = format("{} of {} chains that post wrote were cut at {} tokens: what comes "
                                "later in them has no part in the calibration",
                                count,
                                job.chains.texts.size(),
                                longest_own_chain),
             .remedy = "give chains as a file",
             .count = count});
    }
    if (auto finding = find_unknown_text(plan, job)) {
        findings.push_back(*std::move(finding));
    }
    return findings;
}

}  // namespace

void calibrate(restore::Plan& plan, const CalibrationJob& job, const Watch& watch) {
    check_side(job.recall, "recall texts");
    check_side(job.chains, "chains");
    require_two_sides(job.recall, job.chains);
    for (checkpoint::Finding& finding : find_odd_texts(plan, job)) {
        watch.warn(describe(finding));
        plan.findings.push_back(std::move(finding));
    }
    warn_of_few(job, plan.post->model.hidden_size, watch);
    Calibration(plan, job, watch).run();
}

}  // namespace anamnesis::calibration
