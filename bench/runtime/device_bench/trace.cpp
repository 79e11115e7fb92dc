// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/autograd/profiler_kineto.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "device.hpp"
#include "reader.hpp"
#include "speed.hpp"

namespace anamnesis::bench {
namespace {

namespace profiler = torch::autograd::profiler;
namespace setting = torch::profiler::impl;

std::unique_ptr<profiler::ProfilerResult> profiled(at::Device device, const auto& body) {
    std::set<setting::ActivityType> activities{setting::ActivityType::CPU};
    if (device.is_cuda()) {
        activities.insert(setting::ActivityType::CUDA);
    }
    const setting::ProfilerConfig config(setting::ProfilerState::KINETO);
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities);
    body();
    wait_for(device);
    return profiler::disableProfiler();
}

struct Total {
    std::uint64_t count = 0;
    double seconds = 0.0;
};

/// What ran on the device itself; on the CPU, its operators.
std::map<std::string, Total> sum_events(const profiler::ProfilerResult& result, at::Device device) {
    std::map<std::string, Total> totals;
    for (const profiler::KinetoEvent& event : result.events()) {
        if (event.deviceType() == device.type()) {
            Total& total = totals[event.name()];
            ++total.count;
            total.seconds += static_cast<double>(event.durationNs()) * 1e-9;
        }
    }
    return totals;
}

std::uint64_t count_events(const profiler::ProfilerResult& result,
                           const std::vector<std::string>& parts) {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(result.events(), [&](const profiler::KinetoEvent& event) {
            const std::string name = event.name();
            return std::ranges::any_of(parts, [&](const std::string& part) {
                return name.find(part) != std::string::npos;
            });
        }));
}

void report(const std::string& what,
            const profiler::ProfilerResult& result,
            at::Device device,
            double seconds) {
    const auto totals = sum_events(result, device);
    std::vector<std::pair<std::string, Total>> sorted(totals.begin(), totals.end());
    std::ranges::sort(sorted, [](const auto& one, const auto& other) {
        return one.second.seconds > other.second.seconds;
    });
    std::uint64_t kernels = 0;
    double busy = 0.0;
    for (const auto& [name, total] : sorted) {
        kernels += total.count;
        busy += total.seconds;
    }
    emit(Json::Object{
        {"what", "trace of " + what},
        {"seconds", seconds},
        {"kernels", kernels},
        {"device_busy_s", busy},
        {"copies_to_host", count_events(result, {"DtoH"})},
        {"copies_to_device", count_events(result, {"HtoD"})},
        {"calls_that_wait",
         count_events(result, {"StreamSynchronize", "cudaMemcpy ", "EventSynchronize"})}});
    constexpr std::size_t shown = 16;
    for (std::size_t i = 0; i < std::min(shown, sorted.size()); ++i) {
        emit(Json::Object{{"what", "kernel of " + what},
                          {"name", sorted[i].first.substr(0, 120)},
                          {"count", sorted[i].second.count},
                          {"ms", sorted[i].second.seconds * 1e3}});
    }
}

}  // namespace

void trace(const std::filesystem::path& folder, at::Device device, const Settings& settings) {
    const runtime::Network network = load_on(device, folder);
    const std::int64_t length = settings.number("length");
    const at::Tensor prompt = prompt_on(device, length, network.spec().vocabulary_size);
    at::Tensor next;
    {
        runtime::NetworkState state = network.make_state();
        next = read(network, state, prompt, length).argmax(-1).view({1, 1});
        go_on(network, state, next, 4);
    }
    runtime::NetworkState state = network.make_state();
    double seconds = 0.0;
    const auto of_prompt = profiled(device, [&] {
        seconds = seconds_on(
            device, [&] { next = read(network, state, prompt, length).argmax(-1).view({1, 1}); });
    });
    report("prompt", *of_prompt, device, seconds);
    const auto of_tokens = profiled(device, [&] {
        seconds = seconds_on(device,
                             [&] { next = go_on(network, state, next, settings.number("steps")); });
    });
    report("tokens", *of_tokens, device, seconds);
    if (!settings.text("out").empty()) {
        of_tokens->save(settings.text("out"));
    }
}

}  // namespace anamnesis::bench
