// SPDX-License-Identifier: Apache-2.0
//
// Prompt processing and decoding of one checkpoint, one JSON line per measurement, in the form of
// the peers' scripts beside it:
//
//   speed_bench MODEL [lengths=2048,8192] [decode=2048] [steps=32] [threads=2] [chunk=1024]
//               [batch=1] [dtype=bf16|f32] [packed=1] [rates=1] [whole=1]
//
// Of a prompt the last token's logits are wanted, as where a text is generated, and the last layers
// compute no more; whole=1 computes every token to the end, and gflops then counts what is done.
// batch=N decodes N sequences together, which begin with the same prompt; tok_s counts the tokens
// of all, read_gb_s the caches, which they share, once.
// packed=1 keeps what is block-quantised in a GGUF file as it lies, as the commands do.
// Before and after, the reachable rates: products of 2048 x 2048 matrices and reading from memory.
// Decoding is interrupted every few steps to read from memory again, because the rate of a virtual
// machine changes within seconds: share_of_bandwidth compares the two over the same time. Not with
// rates=0, so that rss_mb is the model's own peak.

#include "anamnesis/runtime/torch.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "run_bench.hpp"

namespace {

using namespace anamnesis;
using Clock = std::chrono::steady_clock;

double measure_seconds(const auto& body) {
    const auto start = Clock::now();
    body();
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void emit(const Json& line) {
    std::puts(line.dump().c_str());
    std::fflush(stdout);
}

double peak_megabytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

/// Best of `rounds` products, in GFLOP/s.
double product_rate(at::ScalarType type, int rounds) {
    constexpr std::int64_t n = 2048;
    const at::Tensor a = at::randn({n, n}).to(type);
    const at::Tensor b = at::randn({n, n}).to(type);
    double best = 1e9;
    for (int i = 0; i < rounds; ++i) {
        best = std::min(best, measure_seconds([&] { at::linear(a, b); }));
    }
    return 2.0 * n * n * n / best / 1e9;
}

/// What all threads read from memory per second, over all rounds so far.
class Bandwidth {
public:
    void measure() {
        seconds_ += measure_seconds([&] { memory_.sum(); });
        ++rounds_;
    }
    double gigabytes_per_second() const {
        return static_cast<double>(memory_.nbytes()) * rounds_ / seconds_ / 1e9;
    }

private:
    at::Tensor memory_ = at::ones({std::int64_t{1} << 26});
    double seconds_ = 0.0;
    int rounds_ = 0;
};

Json rates() {
    Bandwidth bandwidth;
    for (int i = 0; i < 10; ++i) {
        bandwidth.measure();
    }
    return Json::Object{{"f32", product_rate(at::kFloat, 5)},
                        {"bf16", product_rate(at::kBFloat16, 5)},
                        {"bandwidth_gb_s", bandwidth.gigabytes_per_second()}};
}

std::vector<std::int64_t> make_prompt(std::int64_t length, std::int64_t vocabulary) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < length; ++i) {
        ids.push_back((300 + (i * 7919) % (vocabulary - 396)) % vocabulary);
    }
    return ids;
}

std::vector<std::int64_t> parse_numbers(const std::string& text) {
    std::vector<std::int64_t> numbers;
    for (const std::string& part : split(text, ',')) {
        if (!part.empty()) {
            numbers.push_back(std::stoll(part));
        }
    }
    return numbers;
}

/// Elements of the layers' matrices that every token multiplies.
double count_weights(const runtime::Network& network) {
    double count = 0.0;
    for (const checkpoint::PlannedTensor& tensor : network.spec().blueprint->tensors) {
        if (tensor.layer && tensor.shape.size() == 2 &&
            tensor.precision == checkpoint::Precision::matrix) {
            count += static_cast<double>(find_element_count(tensor.shape).value_or(0));
        }
    }
    return count;
}

/// Operations of causal scores and their sums over all softmax layers.
double attention_operations(const runtime::ModelSpec& spec, double length) {
    double count = 0.0;
    for (const runtime::LayerSpec& layer : spec.layers) {
        if (const auto* attention = find_attention(layer.mixer)) {
            count +=
                2.0 * length * length * attention->heads.query_heads * attention->heads.head_dim;
        }
    }
    return count;
}

int measure(int argc, char** argv) {
    std::map<std::string, std::string> settings{{"lengths", "2048,8192"},
                                                {"decode", "2048"},
                                                {"steps", "32"},
                                                {"threads", "2"},
                                                {"chunk", "1024"},
                                                {"batch", "1"},
                                                {"dtype", ""},
                                                {"packed", "0"},
                                                {"rates", "1"},
                                                {"whole", "0"}};
    for (int i = 2; i < argc; ++i) {
        const std::string word = argv[i];
        const std::size_t equals = word.find('=');
        settings[word.substr(0, equals)] = word.substr(equals + 1);
    }
    at::set_num_threads(std::stoi(settings["threads"]));
    const at::NoGradGuard no_gradients;
    const bool wants_rates = settings["rates"] == "1";
    if (wants_rates) {
        emit(Json::Object{{"peer", "anamnesis"}, {"rates", rates()}});
    }
    std::optional<runtime::Network> loaded;
    const auto files = checkpoint::Checkpoint::open(argv[1]);
    const bool is_packed = settings["packed"] == "1";
    const double load_seconds = measure_seconds([&] {
        runtime::LoadOptions options{
            .threads = static_cast<unsigned>(std::stoi(settings["threads"])),
            .keeps_packed = is_packed};
        if (!settings["dtype"].empty()) {
            options.dtype = settings["dtype"] == "f32" ? DType::f32 : DType::bf16;
        }
        loaded = runtime::load_network(files, checkpoint::recognise(files), options);
    });
    const runtime::Network& network = *loaded;
    emit(Json::Object{{"what", "load"}, {"seconds", load_seconds}});
    const std::int64_t chunk = std::stoll(settings["chunk"]);
    const std::vector<std::int64_t> decode = parse_numbers(settings["decode"]);
    const double weights = count_weights(network);
    double weight_bytes = is_packed ? static_cast<double>(files.tensor_bytes()) : 0.0;
    for (const auto& [name, tensor] : network.parameters()) {
        weight_bytes += is_packed ? 0.0 : static_cast<double>(tensor.nbytes());
    }
    const bool is_whole = settings["whole"] == "1";
    const auto read = [&](runtime::NetworkState& state, std::int64_t length) {
        const at::Tensor ids =
            at::tensor(make_prompt(length, network.spec().vocabulary_size)).unsqueeze(0);
        runtime::NetworkState* const pointer = &state;
        at::Tensor hidden;
        for (std::int64_t first = 0; first < length; first += chunk) {
            const at::Tensor piece = ids.narrow(1, first, std::min(chunk, length - first));
            hidden = is_whole ? network.advance(piece, std::span(&pointer, 1))
                              : network.advance_to_last(piece, std::span(&pointer, 1));
        }
        return network.logits(hidden.narrow(1, hidden.size(1) - 1, 1));
    };
    {
        runtime::NetworkState warm = network.make_state();
        read(warm, 64);
    }
    for (const std::int64_t length : parse_numbers(settings["lengths"])) {
        runtime::NetworkState state = network.make_state();
        at::Tensor logits;
        const double seconds = measure_seconds([&] { logits = read(state, length); });
        const double products = 2.0 * weights * static_cast<double>(length);
        const double all =
            products + attention_operations(network.spec(), static_cast<double>(length));
        emit(Json::Object{{"what", "prefill"},
                          {"length", length},
                          {"seconds", seconds},
                          {"tok_s", static_cast<double>(length) / seconds},
                          {"gflops", products / seconds / 1e9},
                          {"gflops_with_attention", all / seconds / 1e9},
                          {"argmax", logits.argmax().item<std::int64_t>()},
                          {"state_mb", static_cast<double>(state.bytes()) / 1e6},
                          {"rss_mb", peak_megabytes()}});
        if (std::ranges::find(decode, length) != decode.end()) {
            const std::int64_t steps = std::stoll(settings["steps"]);
            const std::int64_t batch = std::max(std::stoll(settings["batch"]), 1LL);
            // Before the first step: what a prompt of whole pages fills.
            const double bytes = weight_bytes + static_cast<double>(state.bytes());
            std::vector<runtime::NetworkState> states(static_cast<std::size_t>(batch), state);
            std::vector<runtime::NetworkState*> pointers;
            for (runtime::NetworkState& one : states) {
                pointers.push_back(&one);
            }
            at::Tensor next = logits.argmax(-1).view({1, 1}).repeat({batch, 1});
            const auto step = [&] {
                next = network.logits(network.advance(next, pointers)).argmax(-1).view({batch, 1});
            };
            step();
            step();
            constexpr std::int64_t between_reads = 4;
            std::optional<Bandwidth> bandwidth;
            if (wants_rates) {
                bandwidth.emplace();
            }
            std::vector<double> seconds_of_steps;
            for (std::int64_t i = 0; i < steps; ++i) {
                if (bandwidth && i % between_reads == 0) {
                    bandwidth->measure();
                }
                seconds_of_steps.push_back(measure_seconds(step));
            }
            const double elapsed =
                std::accumulate(seconds_of_steps.begin(), seconds_of_steps.end(), 0.0);
            std::ranges::sort(seconds_of_steps);

            const double read_rate = bytes * static_cast<double>(steps) / elapsed / 1e9;
            Json::Object line{
                {"what", "decode"},
                {"context", length},
                {"batch", batch},
                {"tok_s", static_cast<double>(batch * steps) / elapsed},
                {"median_tok_s",
                 static_cast<double>(batch) / seconds_of_steps[seconds_of_steps.size() / 2]},
                {"read_gb_s", read_rate}};
            if (bandwidth) {
                line.emplace_back("bandwidth_gb_s", bandwidth->gigabytes_per_second());
                line.emplace_back("share_of_bandwidth",
                                  read_rate / bandwidth->gigabytes_per_second());
            }
            emit(std::move(line));
        }
    }
    if (wants_rates) {
        emit(Json::Object{{"rates_after", rates()}});
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return run_bench(argc, argv, measure, "speed_bench MODEL [name=value]...");
}
