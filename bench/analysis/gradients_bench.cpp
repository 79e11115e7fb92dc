// SPDX-License-Identifier: Apache-2.0
//
// What the gradients of attention logits cost beside a training step (forward and backward of
// every weight) on the same tokens, one JSON line a measurement, taking turns:
//
//   gradients_bench MODEL [length=8192] [rounds=3] [threads=2]

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

namespace {

using namespace anamnesis;

double measure_seconds(const auto& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

runtime::Network load(const std::string& path, bool is_trainable) {
    const auto files = checkpoint::Checkpoint::open(path);
    return runtime::Network::load(files,
                                  runtime::describe(files, checkpoint::recognise(files)),
                                  {.weight_type = at::kFloat, .is_trainable = is_trainable});
}

void train(const runtime::Network& network, const std::vector<std::int64_t>& tokens) {
    const at::AutoGradMode records(true);
    const at::Tensor ids = at::tensor(tokens, at::kLong).unsqueeze(0);
    const std::int64_t predictions = ids.size(1) - 1;
    const at::Tensor logits = network.logits(network.forward(ids)).squeeze(0);
    at::cross_entropy_loss(logits.narrow(0, 0, predictions),
                           ids.squeeze(0).narrow(0, 1, predictions))
        .backward();
    for (const auto& [name, parameter] : network.parameters()) {
        parameter.mutable_grad() = at::Tensor();
    }
}

std::size_t parse_number(std::string_view text) {
    return static_cast<std::size_t>(std::stoull(std::string(text)));
}

void measure(const std::string& model, std::size_t length, std::size_t rounds) {
    const runtime::Network trained = load(model, true);
    const runtime::Network observed = load(model, false);
    Random random(1);
    analysis::LabelledText text;
    for (std::size_t t = 0; t < length; ++t) {
        text.ids.push_back(
            static_cast<std::int64_t>(random.below(observed.spec().vocabulary_size)));
    }
    text.labels = text.ids;
    const std::vector<analysis::DistanceBand> bands{
        {0, 16},
        {16, 128},
        {128, 1024},
        {1024, 8192},
        {8192, std::numeric_limits<std::size_t>::max()}};
    std::vector<std::vector<double>> seconds(3);
    for (std::size_t round = 0; round < rounds + 1; ++round) {
        const std::vector<double> one{
            measure_seconds([&] { train(trained, text.ids); }),
            measure_seconds([&] { analysis::logit_gradients(observed, text); }),
            measure_seconds([&] { analysis::logit_gradients(observed, text, {.bands = bands}); })};
        for (std::size_t i = 0; round > 0 && i < one.size(); ++i) {
            seconds[i].push_back(one[i]);
        }
    }
    const std::vector<std::string> names{"training step", "gradients", "gradients with bands"};
    std::vector<double> medians;
    for (std::size_t i = 0; i < names.size(); ++i) {
        Json all = Json::array();
        for (const double value : seconds[i]) {
            all.push_back(value);
        }
        std::ranges::sort(seconds[i]);
        medians.push_back(seconds[i][seconds[i].size() / 2]);
        const Json line = Json::Object{{"what", names[i]},
                                       {"length", std::uint64_t{length}},
                                       {"median_s", medians.back()},
                                       {"times_a_step", medians.back() / medians.front()},
                                       {"all_s", std::move(all)}};
        std::puts(line.dump().c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    anamnesis::runtime::keep_freed_memory();
    try {
        std::size_t length = 8192;
        std::size_t rounds = 3;
        std::size_t threads = 2;
        for (int i = 2; i < argc; ++i) {
            const std::string_view word = argv[i];
            const std::string_view value = word.substr(word.find('=') + 1);
            (word.starts_with("length=")   ? length
             : word.starts_with("rounds=") ? rounds
                                           : threads) = parse_number(value);
        }
        at::set_num_threads(static_cast<int>(threads));
        measure(argc > 1 ? argv[1] : "", length, rounds);
        return 0;
    } catch (const std::exception& error) {
        static_cast<void>(std::fprintf(stderr, "gradients_bench: %s\n", error.what()));
        return 1;
    }
}
