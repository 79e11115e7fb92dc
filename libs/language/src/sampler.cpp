// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {
namespace {

void check(const Sampling& sampling) {
    if (!(sampling.temperature >= 0.0) || std::isinf(sampling.temperature)) {
        throw Error(ErrorKind::usage,
                    format("temperature {} is not at least 0", sampling.temperature));
    }
    if (!(sampling.top_p > 0.0 && sampling.top_p <= 1.0)) {
        throw Error(ErrorKind::usage, format("top_p {} is not in (0, 1]", sampling.top_p));
    }
}

struct Candidate {
    double weight = 0.0;
    TokenId token = 0;
};

constexpr float infinity = std::numeric_limits<float>::infinity();

/// NaN or infinity where one of them is infinity or NaN. Several at a time: a vocabulary is long.
float find_greatest(std::span<const float> logits) {
    std::array<float, 16> greatest{};
    greatest.fill(-infinity);
    // NaN counts as greater than all, and stays.
    const auto add = [](float& so_far, float next) {
        so_far = next <= so_far ? so_far : std::isnan(so_far) ? so_far : next;
    };
    std::size_t i = 0;
    for (; i + greatest.size() <= logits.size(); i += greatest.size()) {
        for (std::size_t lane = 0; lane < greatest.size(); ++lane) {
            add(greatest[lane], logits[i + lane]);
        }
    }
    for (; i < logits.size(); ++i) {
        add(greatest.front(), logits[i]);
    }
    float found = -infinity;
    for (const float one : greatest) {
        add(found, one);
    }
    return found;
}

/// Likelier first; the lower id among equals.
bool goes_before(const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

double sum_weights(std::span<const Candidate> candidates) {
    double mass = 0.0;
    for (const Candidate& candidate : candidates) {
        mass += candidate.weight;
    }
    return mass;
}

/// Keeps the likeliest that reach `top_p` of the mass, sorting a front that doubles until they do.
void keep_mass(std::vector<Candidate>& candidates, double top_p) {
    const double wanted = top_p * sum_weights(candidates);
    double mass = 0.0;
    std::size_t sorted = 0;
    while (sorted < candidates.size()) {
        const std::size_t end = std::min(candidates.size(), std::max<std::size_t>(64, sorted * 4));
        const auto begin = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
        const auto middle = candidates.begin() + static_cast<std::ptrdiff_t>(end);
        if (middle != candidates.end()) {
            std::nth_element(begin, middle, candidates.end(), goes_before);
        }
        std::sort(begin, middle, goes_before);
        for (; sorted < end; ++sorted) {
            mass += candidates[sorted].weight;
            if (mass >= wanted) {
                candidates.resize(sorted + 1);
                return;
            }
        }
    }
}

}  // namespace

void refuse_idle_settings(const Sampling& sampling) {
    std::vector<std::string> idle;
    for (const auto& [option, is_set] : {std::pair("--top-p", sampling.top_p != 1.0),
                                         std::pair("--top-k", sampling.top_k != 0),
                                         std::pair("--seed", sampling.seed != 0)}) {
        if (is_set) {
            idle.emplace_back(option);
        }
    }
    if (sampling.temperature == 0.0 && !idle.empty()) {
        throw Error(ErrorKind::usage,
                    format("temperature 0 takes the likeliest token, whatever {} {}; give "
                           "--temperature, or leave {} out",
                           join(idle, " and "),
                           idle.size() == 1 ? "says" : "say",
                           idle.size() == 1 ? "it" : "them"));
    }
}

Random sampling_stream(std::uint64_t seed, std::size_t index) {
    return Random(Random(seed ^ Random(index).next()).next());
}

TokenId likeliest(std::span<const float> logits) {
    if (logits.empty()) {
        throw Error(ErrorKind::usage, "there are no logits to choose from");
    }
    const float greatest = find_greatest(logits);
    if (!(greatest < infinity)) {
        const auto bad =
            std::ranges::find_if(logits, [](float logit) { return !(logit < infinity); });
        throw Error(ErrorKind::malformed,
                    format("the model produced {} as the logit of token {}",
                           std::isnan(*bad) ? "NaN" : "infinity",
                           bad - logits.begin()));
    }
    if (std::isinf(greatest)) {
        throw Error(ErrorKind::malformed, "the model produced no finite logit");
    }
    return static_cast<TokenId>(std::ranges::find(logits, greatest) - logits.begin());
}

TokenId choose(std::span<const float> logits, const Sampling& sampling, Random& random) {
    check(sampling);
    const TokenId best = likeliest(logits);
    if (sampling.temperature == 0.0) {
        return best;
    }
    const double top = logits[static_cast<std::size_t>(best)];
    std::vector<Candidate> candidates(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
        candidates[i] = {
            .weight = std::exp((static_cast<double>(logits[i]) - top) / sampling.temperature),
            .token = static_cast<TokenId>(i)};
    }
    if (sampling.top_k > 0 && sampling.top_k < candidates.size()) {
        const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(sampling.top_k);
        std::nth_element(candidates.begin(), end, candidates.end(), goes_before);
        candidates.resize(sampling.top_k);
        // What is drawn must not depend on how the library partitions.
        std::ranges::sort(candidates, {}, &Candidate::token);
    }
    if (sampling.top_p < 1.0) {
        keep_mass(candidates, sampling.top_p);
    }
    double rest = random.uniform() * sum_weights(candidates);
    TokenId chosen = best;
    for (const Candidate& candidate : candidates) {
        if (candidate.weight > 0.0) {
            chosen = candidate.token;
            rest -= candidate.weight;
            if (rest < 0.0) {
                break;
            }
        }
    }
    return chosen;
}

double compute_logprob(std::span<const float> logits, TokenId token) {
    if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) {
        throw Error(ErrorKind::usage,
                    format("token {} is outside the {} logits", token, logits.size()));
    }
    const double top = logits[static_cast<std::size_t>(likeliest(logits))];
    double mass = 0.0;
    for (const float logit : logits) {
        mass += std::exp(static_cast<double>(logit) - top);
    }
    return static_cast<double>(logits[static_cast<std::size_t>(token)]) - top - std::log(mass);
}

}  // namespace anamnesis::language
