// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/memory.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <variant>

#include <ATen/DeviceAccelerator.h>

#include "anamnesis/base/index.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {
namespace {

using runtime::AttentionSpec;
using runtime::DenseSpec;
using runtime::GatedDeltaSpec;
using runtime::JetSpec;
using runtime::LightningSpec;
using runtime::MixtureSpec;

/// Tokens of a chunk of a recurrence: each holds a row of weights over its chunk.
constexpr std::uint64_t chunk = 64;

std::uint64_t width_of(const HeadLayout& heads) {
    return std::uint64_t{heads.query_heads} * heads.head_dim;
}

std::uint64_t key_width_of(const HeadLayout& heads) {
    return std::uint64_t{heads.kv_heads} * heads.head_dim;
}

// Values a token leaves for the backward pass. Queries and keys are kept as projected, normalised
// and rotated; a recurrence keeps decayed copies and, for each head, rows over the chunk.

std::uint64_t values_of(const AttentionSpec& spec) {
    const std::uint64_t queries = width_of(spec.heads);
    const std::uint64_t keys = key_width_of(spec.heads);
    const std::uint64_t gate = spec.gate == runtime::OutputGate::none ? 0 : 3 * queries;
    return 5 * queries + 5 * keys + gate;
}

std::uint64_t values_of(const LightningSpec& spec) {
    const std::uint64_t queries = width_of(spec.heads);
    return 12 * queries + 5 * key_width_of(spec.heads) + 3 * chunk * spec.heads.query_heads;
}

std::uint64_t values_of(const GatedDeltaSpec& spec) {
    const std::uint64_t keys = std::uint64_t{spec.value_heads} * spec.key_dim;
    const std::uint64_t values = std::uint64_t{spec.value_heads} * spec.value_dim;
    return 14 * keys + 12 * values + 6 * chunk * spec.value_heads;
}

std::uint64_t values_of(const JetSpec& spec) {
    const std::uint64_t keys = std::uint64_t{spec.heads} * spec.key_dim;
    const std::uint64_t values = std::uint64_t{spec.heads} * spec.value_dim;
    return 14 * keys + (12 + spec.conv_width) * values + 6 * chunk * spec.heads;
}

std::uint64_t values_of(const DenseSpec& spec) {
    return 4 * std::uint64_t{spec.width};
}

std::uint64_t values_of(const MixtureSpec& spec) {
    return 4 * (std::uint64_t{spec.experts_per_token} * spec.expert_width + spec.shared_width) +
           2 * std::uint64_t{spec.experts};
}

template <class Spec>
std::uint64_t values_of_any(const Spec& spec) {
    return std::visit([](const auto& one) { return values_of(one); }, spec);
}

}  // namespace

MemoryEstimate estimate_memory(const runtime::Network& network,
                               const BatchSource::Size& largest,
                               bool recomputes_layers) {
    MemoryEstimate estimate;
    for (const auto& [name, parameter] : network.parameters()) {
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
    std::uint64_t values = 3 * std::uint64_t{spec.vocabulary_size};
    std::uint64_t most = 0;
    for (const runtime::LayerSpec& layer : spec.layers) {
        const std::uint64_t layer_values = values_of_any(layer.mixer) + values_of_any(layer.mlp) +
                                           6 * std::uint64_t{spec.hidden_size};
        values += recomputes_layers ? std::uint64_t{spec.hidden_size} : layer_values;
        most = std::max(most, layer_values);
    }
    // A layer's backward pass holds its values and their gradients.
    values += recomputes_layers ? 2 * most : 0;
    // A quarter more: the backward pass has temporaries of its own.
    estimate.activations = 5 * values * largest.rows * largest.length;
    return estimate;
}

namespace {

/// The bytes behind `key` in a file of lines "Key:   123 kB"; 0 where there are none.
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
