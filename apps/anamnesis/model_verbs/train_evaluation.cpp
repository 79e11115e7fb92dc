// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/train_evaluation.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::app {

std::function<Json()> evaluation_of(const TrainOptions& options, const runtime::Network& network) {
    using train::synthetic::Needle;
    if (options.evaluate_every == 0) {
        return {};
    }
    const std::size_t words = train::synthetic::words().size();
    if (network.spec().vocabulary_size != words) {
        throw Error(ErrorKind::unsupported,
                    format("--eval-every measures models of the synthetic language of {} words; "
                           "this one has a vocabulary of {}",
                           words,
                           network.spec().vocabulary_size));
    }
    return [&options, &network] {
        // The same samples as 'probe' takes.
        constexpr std::uint64_t seed = 999;
        Json figures = Json::object();
        for (const auto& [needle, name] : {std::pair{Needle::s1, "S1"},
                                           std::pair{Needle::s2, "S2"},
                                           std::pair{Needle::s3, "S3"}}) {
            Json lengths = Json::object();
            for (const std::uint64_t length : options.evaluated_lengths) {
                lengths.set(format("{}", length),
                            train::synthetic::recall(
                                network, needle, length, options.evaluated_samples, seed)
                                .percent());
            }
            figures.set(name, std::move(lengths));
        }
        figures.set(
            "cot", train::synthetic::reasoning(network, options.evaluated_samples, seed).percent());
        return figures;
    };
}

}  // namespace anamnesis::app
