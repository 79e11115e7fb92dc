// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"

#include "model_verbs/model_verbs.hpp"
#include "open_checkpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

using train::synthetic::Exactness;
using train::synthetic::Needle;

struct Kind {
    Needle needle;
    const char* name;
};
constexpr std::array kinds{Kind{Needle::s1, "S1"}, Kind{Needle::s2, "S2"}, Kind{Needle::s3, "S3"}};

runtime::Network open_network(const std::string& path, const ReadingOptions& reading) {
    const OpenedCheckpoint opened = open_checkpoint(path, reading, checkpoint::Missing::refuse);
    runtime::Network network =
        runtime::Network::load(opened.checkpoint,
                               runtime::describe(opened.checkpoint, opened.model),
                               {.weight_type = at::kFloat});
    const std::size_t words = train::synthetic::words().size();
    if (network.spec().vocabulary_size != words) {
        throw Error(ErrorKind::mismatch,
                    format("{} has a vocabulary of {}, the synthetic language {} words",
                           in_quotes(path, 1000),
                           network.spec().vocabulary_size,
                           words));
    }
    return network;
}

Json figure_of(const Exactness& exactness) {
    return Json::Object{{"right", exactness.right}, {"samples", exactness.samples}};
}

}  // namespace

int run(const ProbeOptions& options, Terminal& terminal) {
    runtime::use_threads(options.common.threads);
    std::string head = format("{:<24} {:>5}", "recall %", "");
    for (const std::uint64_t length : options.lengths) {
        head += format(" {:>6}", length);
    }
    terminal.say(head);
    Json models = Json::array();
    for (const std::string& path : options.checkpoints) {
        runtime::at_the_door([&] {
            const runtime::Network network = open_network(path, options.reading);
            Json model = Json::Object{{"model", path}};
            for (const Kind& kind : kinds) {
                std::string row = format("{:<24} {:>5}", path, kind.name);
                Json lengths = Json::object();
                for (const std::uint64_t length : options.lengths) {
                    const Exactness found = train::synthetic::recall(
                        network, kind.needle, length, options.samples, options.seed);
                    row += format(" {:>6.1f}", found.percent());
                    lengths.set(format("{}", length), figure_of(found));
                }
                terminal.say(row);
                model.set(kind.name, std::move(lengths));
            }
            const Exactness chains =
                train::synthetic::reasoning(network, options.samples, options.seed);
            terminal.say(format("{:<24} {:>5} {:>6.1f}", path, "CoT", chains.percent()));
            model.set("cot", figure_of(chains));
            models.push_back(std::move(model));
        });
    }
    if (options.common.json) {
        terminal.result(
            Json(Json::Object{{"seed", options.seed}, {"models", std::move(models)}}).dump(2) +
            "\n");
    }
    return 0;
}

}  // namespace anamnesis::app
