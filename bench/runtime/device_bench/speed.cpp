// SPDX-License-Identifier: Apache-2.0
#include "speed.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "device.hpp"
#include "reader.hpp"
#include "work.hpp"

namespace anamnesis::bench {
namespace {

class Measurement {
public:
    Measurement(const runtime::Network& network,
                at::Device device,
                const Rates& rates,
                const Settings& settings)
        : network_(network),
          device_(device),
          rates_(rates),
          work_(network),
          chunk_(settings.number("chunk")),
          steps_(settings.number("steps")),
          decode_(settings.numbers("decode")) {}

    void measure(std::int64_t length) {
        const at::Tensor prompt = prompt_on(device_, length, network_.spec().vocabulary_size);
        runtime::NetworkState state = network_.make_state();
        at::Tensor logits;
        forget_peak(device_);
        const double seconds =
            seconds_on(device_, [&] { logits = read(network_, state, prompt, chunk_); });
        report_prefill(length, seconds, logits);
        if (std::ranges::find(decode_, length) != decode_.end()) {
            measure_decode(length, state, logits.argmax(-1).view({1, 1}));
        }
    }

private:
    void report_prefill(std::int64_t length, double seconds, const at::Tensor& logits) const {
        const auto tokens = static_cast<double>(length);
        const double rate = work_.prefill_operations(tokens) / seconds;
        const double peak = peak_bytes(device_);
        // The bar of long prompts: a gigabyte for what lies between weights and caches.
        const double estimate = work_.weight_bytes() + work_.state_bytes(tokens) + 1e9;
        emit(Json::Object{{"what", "prefill"},
                          {"length", length},
                          {"chunk", std::min(chunk_, length)},
                          {"seconds", seconds},
                          {"tok_s", tokens / seconds},
                          {"tflops", rate / 1e12},
                          {"share_of_matrix_rate", rate / rates_.operations},
                          {"peak_mb", peak / 1e6},
                          {"estimate_mb", estimate / 1e6},
                          {"peak_over_estimate", peak / estimate},
                          {"argmax", logits.argmax().item<std::int64_t>()}});
    }

    void measure_decode(std::int64_t context, runtime::NetworkState& state, at::Tensor next) const {
        next = go_on(network_, state, next, 4);
        const double seconds =
            seconds_on(device_, [&] { next = go_on(network_, state, next, steps_); });
        const double middle = static_cast<double>(context + 4) + static_cast<double>(steps_) / 2.0;
        const double a_token = seconds / static_cast<double>(steps_);
        const double rate = work_.decode_bytes(middle) / a_token;
        emit(Json::Object{{"what", "decode"},
                          {"context", context},
                          {"steps", steps_},
                          {"tok_s", 1.0 / a_token},
                          {"read_gb_s", rate / 1e9},
                          {"share_of_memory_rate", rate / rates_.bytes}});
    }

    const runtime::Network& network_;
    at::Device device_;
    Rates rates_;
    Work work_;
    std::int64_t chunk_;
    std::int64_t steps_;
    std::vector<std::int64_t> decode_;
};

}  // namespace

void measure_speed(const std::filesystem::path& folder,
                   at::Device device,
                   const Settings& settings) {
    const Rates rates = measure_rates(device);
    emit(Json::Object{{"what", "rates"},
                      {"matrix_tflops", rates.operations / 1e12},
                      {"memory_gb_s", rates.bytes / 1e9}});
    const runtime::Network network = load_on(device, folder);
    std::vector<std::int64_t> lengths = settings.numbers("lengths");
    std::ranges::sort(lengths);
    {
        // Handles, plans and memory are made before anything is timed.
        runtime::NetworkState state = network.make_state();
        const at::Tensor prompt =
            prompt_on(device, lengths.front(), network.spec().vocabulary_size);
        const at::Tensor logits = read(network, state, prompt, settings.number("chunk"));
        go_on(network, state, logits.argmax(-1).view({1, 1}), 4);
    }
    Measurement measurement(network, device, rates, settings);
    for (const std::int64_t length : lengths) {
        measurement.measure(length);
    }
}

}  // namespace anamnesis::bench
