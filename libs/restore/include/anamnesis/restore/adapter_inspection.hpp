// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::restore {

/// Modules of one name within their layers, "self_attn.q_proj"; numbers of experts are "*".
struct ModuleGroup {
    std::string name;
    std::vector<std::uint32_t> layers;      ///< that the adapter touches
    std::vector<std::uint32_t> all_layers;  ///< that have the module in the base
    std::uint64_t modules = 0;
    std::map<std::uint64_t, std::uint64_t> ranks;  ///< modules by rank
    std::map<double, std::uint64_t> scales;        ///< modules by scale
};

/// The modules of one kind of layer.
struct KindCoverage {
    std::string kind;  ///< "full", "linear", "full+linear"; "outside" for the rest
    std::vector<ModuleGroup> modules;
};

/// How far an adapter bends W_Q or W_K of one softmax layer.
struct Bend {
    std::uint32_t layer = 0;
    std::string kind;
    std::string part;         ///< "q" or "k"
    double difference = 0.0;  ///< ||W - W0|| over the rows of the part
    double drift = 0.0;       ///< relative to ||W0||
};

/// What an adapter is and, held against its base, what it reaches.
struct AdapterInspection {
    const checkpoint::Adapter* adapter = nullptr;
    const checkpoint::AdapterMatch* match = nullptr;  ///< null without a base
    std::vector<KindCoverage> coverage{};             ///< one of kind "" without a base
    std::vector<Bend> bends{};
    std::vector<checkpoint::Finding> findings{};
};

AdapterInspection inspect_adapter(const checkpoint::Adapter& adapter);

/// Reads the rows of W_Q and W_K that the adapter touches, and its own factors. The difference of a
/// pair is measured from the Gram matrices of its factors, without forming it; that of DoRA and of
/// saved tensors row by row.
AdapterInspection inspect_adapter(const checkpoint::AdapterMatch& match);

/// As `inspect ADAPTER --json` prints it (docs/json.md).
Json to_json(const AdapterInspection& inspection);
std::string to_text(const AdapterInspection& inspection);

}  // namespace anamnesis::restore
