// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/dissection/dissect.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/dissection/findings.hpp"
#include "anamnesis/eval/statistics.hpp"
#include "anamnesis/restore/request.hpp"

#include "arms.hpp"
#include "methods.hpp"
#include "outcome.hpp"
#include "subject.hpp"

namespace anamnesis::dissection {
namespace {

using Clock = std::chrono::steady_clock;

/// Candidates that are all asked on every text.
constexpr std::size_t few = 12;
/// Candidates that stay to the end, and of these the ones that unions are made of.
constexpr std::size_t most_finalists = 8;
constexpr std::size_t most_parts = 4;
/// Worth that a further part must add.
constexpr double least_step = 0.02;
/// Losses that lie closer together than this are not told apart.
constexpr double least_scale = 0.01;
/// Beyond this a gain on one side does not count: overshooting pays for nothing else.
constexpr double most_share = 1.5;

double mean(std::span<const double> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Post's losses less those of a candidate, on the texts that both were asked.
std::vector<double> find_gains(std::span<const double> post, std::span<const double> other) {
    std::vector<double> gains;
    for (std::size_t i = 0; i < std::min(post.size(), other.size()); ++i) {
        gains.push_back(post[i] - other[i]);
    }
    return gains;
}

/// Of weights that do not fit or a method that does not apply, and not of a disk, memory or a stop.
bool is_refusal(const Error& error) {
    return error.kind() == ErrorKind::usage || error.kind() == ErrorKind::unsupported ||
           error.kind() == ErrorKind::mismatch;
}

/// A weight set that went to the end.
struct Finalist {
    std::string name{};
    std::vector<restore::Request> requests{};
    double worth = 0.0;  ///< on the texts that choose
};

class Search {
public:
    Search(const DissectionJob& job, const Watch& watch)
        : job_(job), watch_(watch), subject_(job, watch), start_(Clock::now()) {}

    Findings run() {
        pre_ = subject_.ask("pre", true, {}, Half::choosing);
        post_ = subject_.ask("post", false, {}, Half::choosing);
        require_numbers(pre_, "pre");
        require_numbers(post_, "post");
        warn_of_odd_pair();
        narrow_down();
        reverse_finalists();
        // Those that came further in the halving were the better ones on the same texts.
        std::ranges::stable_sort(findings_.candidates, std::greater(), [](const Candidate& one) {
            return std::pair(one.texts, one.recall_gain);
        });
        name_carrier();
        add_unions();
        const std::vector<Method> methods = list_methods(best_groups());
        watch_.progress().begin("asking what was found and other methods",
                                finalists_.size() + methods.size(),
                                ProgressUnit::steps);
        for (const Finalist& finalist : finalists_) {
            tell(finalist, findings_.found);
            watch_.progress().advance(1);
        }
        for (const Method& method : methods) {
            try_method(method);
            watch_.progress().advance(1);
        }
        watch_.progress().finish();
        finish();
        return std::move(findings_);
    }

private:
    bool is_over() const {
        return job_.budget_seconds &&
               Clock::now() - start_ >= std::chrono::seconds(*job_.budget_seconds);
    }

    void check_stop() const {
        throw_if_stopped(watch_, [&] {
            return format("interrupted; what was asked is in {}; run the same command to resume",
                          in_quotes(job_.out.string()));
        });
    }

    void warn_of_odd_pair() {
        if (mean(post_.recall) <= mean(pre_.recall)) {
            findings_.warnings.emplace_back(
                "post recalls these texts no worse than pre: there is no damage to find");
        }
        if (mean(post_.reasoning) >= mean(pre_.reasoning)) {
            findings_.warnings.emplace_back(
                "post predicts the reasoning texts no better than pre: there is no gain to keep");
        }
    }

    /// Shares of what separates pre and post, of both sides together.
    double find_worth(const Scores& scores) const {
        const auto share = [](const std::vector<double>& pre,
                              const std::vector<double>& post,
                              const std::vector<double>& other) {
            const std::size_t count = other.size();
            const double scale = std::max(
                std::abs(mean(std::span(pre).first(count)) - mean(std::span(post).first(count))),
                least_scale);
            return std::min(mean(find_gains(post, other)) / scale, most_share);
        };
        return share(pre_.recall, post_.recall, scores.recall) +
               share(pre_.reasoning, post_.reasoning, scores.reasoning);
    }

    /// Asks every candidate on a few texts, and the better half of them on twice as many, until
    /// all texts were read.
    void narrow_down() {
        std::vector<Arm> arms = list_arms(*job_.post, job_.depth);
        const std::size_t all = subject_.count_choosing();
        std::size_t texts = arms.size() <= few ? all : std::max<std::size_t>(2, all / 4);
        bool is_first = true;
        while (true) {
            watch_.progress().begin(format("asking {} candidates on {} texts", arms.size(), texts),
                                    arms.size(),
                                    ProgressUnit::steps);
            std::vector<std::pair<double, Arm>> ranked;
            for (const Arm& arm : arms) {
                check_stop();
                if (is_over() && !ranked.empty()) {
                    findings_.is_cut_short = true;
                    break;
                }
                if (const auto gain = ask_arm(arm, texts, is_first)) {
                    ranked.emplace_back(*gain, arm);
                }
                watch_.progress().advance(1);
            }
            watch_.progress().finish();
            std::ranges::stable_sort(
                ranked, std::greater(), [](const auto& one) { return one.first; });
            const bool is_last = texts >= all || findings_.is_cut_short;
            const std::size_t kept =
                is_last ? most_finalists : std::max(most_finalists, ranked.size() / 2);
            if (ranked.size() > kept) {
                ranked.resize(kept);
            }
            arms.clear();
            for (auto& [gain, arm] : ranked) {
                arms.push_back(std::move(arm));
            }
            if (is_last) {
                break;
            }
            texts = std::min(all, 2 * texts);
            is_first = false;
        }
        for (const Arm& arm : arms) {
            const auto scores = subject_.find_answers(arm.name, Half::choosing, texts);
            finalists_.push_back(
                {.name = arm.name, .requests = {arm.request}, .worth = find_worth(*scores)});
        }
        last_texts_ = texts;
    }

    /// The recall that a candidate wins back, by which candidates are ranked. Nothing where it
    /// cannot be put back, or changes nothing.
    std::optional<double> ask_arm(const Arm& arm, std::size_t texts, bool is_first) {
        std::optional<Tensors> tensors;
        try {
            tensors = subject_.make({arm.request});
        } catch (const Error& error) {
            if (!is_refusal(error)) {
                throw;
            }
            // Groups that a family does not have are no news.
            if (is_first && error.kind() != ErrorKind::usage) {
                findings_.skipped.push_back(format("{}: {}", arm.name, error.what()));
            }
            return std::nullopt;
        }
        if (!tensors) {
            if (is_first) {
                findings_.skipped.push_back(arm.name + ": the same in pre and post");
            }
            return std::nullopt;
        }
        const Scores scores = subject_.ask(arm.name, false, *tensors, Half::choosing, texts);
        const double recall = mean(find_gains(post_.recall, scores.recall));
        const double reasoning = mean(find_gains(post_.reasoning, scores.reasoning));
        Candidate& candidate = find_candidate(arm);
        candidate.texts = scores.recall.size();
        candidate.recall_gain = recall;
        candidate.reasoning_gain = reasoning;
        return recall;
    }

    Candidate& find_candidate(const Arm& arm) {
        const auto found = std::ranges::find(findings_.candidates, arm.name, &Candidate::name);
        if (found != findings_.candidates.end()) {
            return *found;
        }
        return findings_.candidates.emplace_back(
            Candidate{.name = arm.name, .group = arm.group, .layer = arm.layer});
    }

    /// The other way round: what the weights of post do to pre.
    void reverse_finalists() {
        for (const Finalist& finalist : finalists_) {
            check_stop();
            if (is_over()) {
                findings_.is_cut_short = true;
                return;
            }
            const auto tensors = subject_.make(finalist.requests, /*is_reversed=*/true);
            if (!tensors) {
                continue;
            }
            const Scores scores = subject_.ask(
                "reversed " + finalist.name, true, *tensors, Half::choosing, last_texts_);
            Candidate& candidate =
                *std::ranges::find(findings_.candidates, finalist.name, &Candidate::name);
            candidate.reverse_recall_loss = -mean(find_gains(pre_.recall, scores.recall));
            candidate.is_reversed = true;
        }
    }

    /// The candidate with the largest gain of recall, where its interval is above 0.
    void name_carrier() {
        if (findings_.candidates.empty()) {
            return;
        }
        const Candidate& first = findings_.candidates.front();
        const auto scores = subject_.find_answers(first.name, Half::choosing, last_texts_);
        if (scores && eval::bootstrap_mean(find_gains(post_.recall, scores->recall)).low > 0.0) {
            findings_.carrier = first.name;
        }
    }

    /// Adds to the best candidate, one after another, whatever makes it worth more.
    void add_unions() {
        if (finalists_.empty()) {
            return;
        }
        std::ranges::stable_sort(finalists_, std::greater(), &Finalist::worth);
        Finalist best = finalists_.front();
        findings_.additive = best.worth;
        std::vector<Finalist> left(finalists_.begin() + 1, finalists_.end());
        if (left.size() > most_parts) {
            left.resize(most_parts);
        }
        for (bool grows = true; grows && !left.empty() && !is_over();) {
            grows = false;
            std::optional<Finalist> better;
            std::size_t taken = 0;
            for (std::size_t i = 0; i < left.size(); ++i) {
                check_stop();
                Finalist both = best;
                both.name += "+" + left[i].name;
                both.requests.push_back(left[i].requests.front());
                const auto tensors = subject_.make(both.requests);
                both.worth = find_worth(
                    subject_.ask(both.name, false, *tensors, Half::choosing, last_texts_));
                if (both.worth > (better ? better->worth : best.worth + least_step)) {
                    better = both;
                    taken = i;
                }
            }
            if (better) {
                findings_.additive += left[taken].worth;
                left.erase(left.begin() + static_cast<std::ptrdiff_t>(taken));
                best = *better;
                finalists_.push_back(best);
                grows = true;
            }
        }
        findings_.together = best.worth;
    }

    /// Groups of the finalist that is worth most, for the methods that mix them.
    std::set<checkpoint::TensorGroup> best_groups() const {
        const auto best = std::ranges::max_element(finalists_, {}, &Finalist::worth);
        std::set<checkpoint::TensorGroup> groups;
        if (best != finalists_.end()) {
            for (const restore::Request& request : best->requests) {
                groups.insert(request.selection.groups.begin(), request.selection.groups.end());
            }
        }
        return groups;
    }

    /// Asks the texts that tell, and keeps what is said of them.
    void tell(const Finalist& finalist, std::vector<Outcome>& outcomes) {
        check_stop();
        const auto tensors = subject_.make(finalist.requests);
        if (!tensors) {
            return;
        }
        Outcome outcome =
            describe(finalist.name, subject_.ask(finalist.name, false, *tensors, Half::telling));
        outcome.worth = finalist.worth;
        outcome.commands = list_commands(*job_.pre, *job_.post, finalist.requests);
        outcomes.push_back(std::move(outcome));
    }

    void try_method(const Method& method) {
        check_stop();
        try {
            Finalist finalist{.name = method.name, .requests = {method.request}};
            const auto tensors = subject_.make(finalist.requests);
            if (!tensors) {
                return;
            }
            finalist.worth = find_worth(subject_.ask(method.name, false, *tensors, Half::choosing));
            tell(finalist, findings_.methods);
        } catch (const Error& error) {
            if (!is_refusal(error)) {
                throw;
            }
            findings_.skipped.push_back(format("{}: {}", method.name, error.what()));
        }
    }

    Outcome describe(const std::string& name, const Scores& scores) {
        return make_outcome(name,
                            scores,
                            subject_.ask("pre", true, {}, Half::telling),
                            subject_.ask("post", false, {}, Half::telling));
    }

    void finish() {
        findings_.pre = describe("pre", subject_.ask("pre", true, {}, Half::telling));
        findings_.post = describe("post", subject_.ask("post", false, {}, Half::telling));
        const Outcome* best = nullptr;
        for (const std::vector<Outcome>* list : {&findings_.found, &findings_.methods}) {
            for (const Outcome& outcome : *list) {
                if (outcome.worth > (best == nullptr ? 0.0 : best->worth)) {
                    best = &outcome;
                }
            }
        }
        findings_.best = best == nullptr ? std::string() : best->name;
        warn_of_few_texts(findings_);
    }

    const DissectionJob& job_;
    const Watch& watch_;
    Subject subject_;
    Clock::time_point start_;
    Findings findings_{};
    Scores pre_{};  ///< on the texts that choose
    Scores post_{};
    std::vector<Finalist> finalists_{};
    std::size_t last_texts_ = 0;
};

}  // namespace

Findings dissect(const DissectionJob& job, const Watch& watch) {
    require_difference(job, watch);
    return Search(job, watch).run();
}

}  // namespace anamnesis::dissection
