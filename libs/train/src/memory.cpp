// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/memory.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <ATen/DeviceAccelerator.h>

#include "anamnesis/runtime/cross_entropy.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {
namespace {

/// What the first step takes of a program, whatever the model: code that runs for the first time,
/// and buffers of the products.
constexpr std::uint64_t first_step = 50'000'000;

}  // namespace

MemoryEstimate estimate_memory(const runtime::Network& network,
                               const BatchSource::Size& largest,
                               bool recomputes_layers) {
    MemoryEstimate estimate;
    const auto& trained = network.trained();
    for (const auto& [name, parameter] : network.parameters()) {
        estimate.weights += trained.contains(name) ? 0 : parameter.nbytes();
    }
    for (const auto& [name, parameter] : trained) {
        const auto count = static_cast<std::uint64_t>(parameter.numel());
        const auto held = static_cast<std::uint64_t>(parameter.nbytes());
        const std::uint64_t precise = held < 4 * count ? 4 * count : held;
        estimate.weights += held < 4 * count ? held + precise : held;
        if (parameter.requires_grad()) {
            estimate.gradients += held < 4 * count ? held + precise : held;
            estimate.moments += 2 * precise;
        }
    }
    const runtime::ModelSpec& spec = network.spec();
    std::uint64_t values = 0;
    std::uint64_t most = 0;
    for (const std::uint64_t layer_values : network.count_kept_values()) {
        values += recomputes_layers ? std::uint64_t{spec.hidden_size} : layer_values;
        most = std::max(most, layer_values);
    }
    // A layer's backward pass holds the gradients of its values too, and where they are computed
    // again the values themselves and what lies between them.
    values += recomputes_layers ? 3 * most : most;
    const std::uint64_t tokens = std::uint64_t{largest.rows} * largest.length;
    estimate.activations =
        first_step + 4 * values * tokens +
        4 * runtime::count_loss_values(tokens, spec.vocabulary_size, spec.hidden_size);
    return estimate;
}

namespace {

/// The bytes after `key` in a file of lines "Key:   123 kB"; 0 where there are none.
std::uint64_t read_kibibytes(const char* path, std::string_view key) {
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with(key)) {
            std::istringstream numbers(line.substr(key.size()));
            std::uint64_t kibibytes = 0;
            numbers >> kibibytes;
            return kibibytes * 1024;
        }
    }
    return 0;
}

}  // namespace

std::uint64_t available_memory() {
    return read_kibibytes("/proc/meminfo", "MemAvailable:");
}

std::uint64_t available_memory(const at::Device& device) {
    return device.is_cpu() ? available_memory()
                           : at::accelerator::getMemoryInfo(device.index()).first;
}

std::uint64_t resident_memory() {
    return read_kibibytes("/proc/self/status", "VmRSS:");
}

}  // namespace anamnesis::train
