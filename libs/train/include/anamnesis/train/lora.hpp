// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/adamw.hpp"
#include "anamnesis/train/row_rules.hpp"

namespace anamnesis::train {

/// What the adapters of a run are. Source: Hu et al. 2021; `LoraConfig` of peft 0.21.
struct LoraSettings {
    std::uint32_t rank = 16;
    double alpha = 32.0;
    bool has_root_scale = false;  ///< rsLoRA: alpha / sqrt(rank) instead of alpha / rank
    /// Names of modules, each the end of a path; empty: every matrix of the layers but the experts'
    /// and the routers'.
    std::vector<std::string> targets{};
    /// A folder with an adapter to go on from, which then decides all of the above; or empty.
    std::string start{};
};

/// "r=8,alpha=16,rslora=true,targets=q_proj,v_proj", or the folder of an adapter. Without alpha it
/// is twice the rank. Errors: `usage`, naming the word.
LoraSettings parse_lora(const std::string& words);

Json describe(const LoraSettings& settings);

/// The adapters of one network: made as it is loaded, ruled as its rows are, written as PEFT reads
/// them. The first factor is uniform in +-1/sqrt(inputs), as PEFT makes it, the second zero.
class LoraAdapters {
public:
    /// `rules` are those of the base's rows: rows at rate 0 get no adapter.
    /// Errors: `usage` for other rates and anchors; those of `open_adapter` and `refuse_unfit`, and
    /// `unsupported` for what of an adapter is no pair of factors.
    LoraAdapters(LoraSettings settings,
                 const checkpoint::RecognisedCheckpoint& base,
                 RowRules rules,
                 std::uint64_t seed,
                 at::ScalarType type,
                 at::Device device);

    /// What `NetworkOptions::adapters` asks; refers to this object.
    runtime::AdapterChoice choice() &;

    /// After the network is loaded. Errors: `usage` for a target that no matrix has, or no adapter
    /// at all; `unsupported` for a module of the start that the network has no place for.
    void check() const;

    /// Rules of the factors' rows, by the names that `Network::trained` has.
    const RowRules& rules() const& noexcept { return factor_rules_; }
    std::size_t count() const noexcept { return paths_.size(); }

    /// Writes adapter_config.json and adapter_model.safetensors.
    void write(const NamedTensors& factors, const std::filesystem::path& folder) const;

private:
    struct Start;

    std::optional<runtime::AdapterFactors> choose(const std::string& name, const Shape& shape);
    std::optional<runtime::AdapterFactors> take_from_start(const std::string& name);
    bool is_target(const std::string& path);
    void add_rules(const std::string& name, std::int64_t rank, std::uint64_t rows);
    bool is_frozen_whole(const std::string& name, std::uint64_t rows) const;
    Json make_config() const;

    LoraSettings settings_;
    std::string base_;  ///< the path of the base, as given
    RowRules rules_;
    RowRules factor_rules_;
    std::uint64_t seed_;
    at::TensorOptions options_;
    std::shared_ptr<const Start> start_;
    std::map<std::string, std::string> paths_;  ///< of adapted matrices: name to module path
    std::set<std::string> passed_;              ///< paths of matrices without an adapter
    std::set<std::string> used_targets_;
};

}  // namespace anamnesis::train
