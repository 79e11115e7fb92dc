// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

double parse_mu(const std::string& word) {
    if (word == "inf") {
        return std::numeric_limits<double>::infinity();
    }
    double mu = -1.0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), mu);
    if (error != std::errc{} || end != word.data() + word.size() || !(mu >= 0.0)) {
        throw Error(ErrorKind::usage,
                    format("--mu holds {}, expected numbers of at least 0 with commas, or 'auto'",
                           in_quotes(word)));
    }
    return mu;
}

}  // namespace

std::vector<double> parse_mus(const std::string& text) {
    std::vector<double> mus;
    for (const std::string& word : split(text, ',')) {
        const double mu = parse_mu(word);
        if (std::ranges::find(mus, mu) != mus.end()) {
            throw Error(
                ErrorKind::usage,
                format("--mu names {} twice; each gives an output of its own", in_quotes(word)));
        }
        mus.push_back(mu);
    }
    return mus;
}

double find_default_mu(const Selection& selection, std::uint32_t rounds) {
    const bool is_routing_alone = !selection.groups.contains(checkpoint::TensorGroup::v) &&
                                  !selection.groups.contains(checkpoint::TensorGroup::o);
    if (rounds > 0) {
        return is_routing_alone ? 0.1 : 0.3;
    }
    return is_routing_alone ? 0.3 : 1.0;
}

}  // namespace anamnesis::restore
