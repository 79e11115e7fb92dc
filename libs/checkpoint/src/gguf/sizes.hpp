// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::checkpoint {

/// The keys of one architecture, without its prefix: "attention.head_count".
class GgufKeys {
public:
    /// The file must outlive this.
    explicit GgufKeys(const formats::GgufFile& file);

    const std::string& architecture() const { return architecture_; }

    bool has(std::string_view key) const;
    bool is_list_of_flags(std::string_view key) const;
    std::optional<std::uint32_t> find_count(std::string_view key) const;
    std::optional<double> find_number(std::string_view key) const;
    std::optional<std::string> find_string(std::string_view key) const;
    std::optional<std::vector<std::uint64_t>> find_counts(std::string_view key) const;
    std::optional<std::vector<bool>> find_flags(std::string_view key) const;
    /// A key that may be one number for all layers, or one for each: the one that is not 0. Layers
    /// that are not `counted` are left out, unless all others have 0.
    /// Errors: `unsupported` where layers have different ones.
    std::optional<std::uint32_t> find_common_count(std::string_view key,
                                                   const std::vector<bool>& counted = {}) const;
    /// Errors: `malformed` where the key is missing.
    std::uint32_t count(std::string_view key) const;

private:
    std::string full(std::string_view key) const;

    const formats::GgufMetadata& metadata_;
    std::string architecture_;
};

/// Blocks of the model itself, without those of a draft head.
std::uint32_t count_gguf_layers(const GgufKeys& keys);

/// Errors: `malformed` for lists that are shorter than the model.
std::vector<Layer> read_gguf_layers(const GgufKeys& keys, const GgufArchitecture& architecture);

/// Heads of the softmax layers; of MLA the width of a query head.
HeadLayout read_gguf_heads(const GgufKeys& keys, const GgufArchitecture& architecture);

}  // namespace anamnesis::checkpoint
