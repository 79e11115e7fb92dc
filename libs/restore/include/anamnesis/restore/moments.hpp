// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::restore {

/// The texts that a second moment is summed over.
enum class CalibrationSide : std::uint8_t { recall, chains };

/// The inputs that a second moment is summed over. `part` is one of
///  - "q": the layer's normed input at predicting positions, for W_Q and gates;
///  - "k_attention", "k_centred", "v": the same input at all tokens, weighed by the attention that
///    they receive, or less the text's mean;
///  - "o": what o_proj reads, at predicting positions;
///  - "mlp", "down": what the feed-forward and its last matrix read, at predicting positions;
///  - "head": what the head reads, at predicting positions.
struct MomentKey {
    std::string part;
    CalibrationSide side = CalibrationSide::recall;
    std::optional<LayerIndex> layer{};  ///< absent outside the layers

    friend auto operator<=>(const MomentKey&, const MomentKey&) = default;
};

/// "k_attention.S_R.2", "q.S_C.2", "head.S_C": S_R is recall, S_C chains.
std::string to_string(const MomentKey& key);

/// sum_t w_t x_t x_t^T, not scaled: one matrix, or one for each key-value head.
/// Shapes: all [inputs, inputs], or one more where the projection has a bias: x is then followed
///         by 1.
using Moment = std::vector<linalg::Matrix>;

/// Where moments come from. Threads: const functions may run at once.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions)
class MomentSource {
public:
    virtual ~MomentSource() = default;
    virtual bool has(const MomentKey& key) const = 0;
    /// Errors: `not_found`, naming the moment; those of a file.
    virtual Moment load(const MomentKey& key) const = 0;
};

/// Moments in memory.
class MomentSet final : public MomentSource {
public:
    void set(const MomentKey& key, Moment moment);
    bool has(const MomentKey& key) const override { return moments_.contains(key); }
    Moment load(const MomentKey& key) const override;
    const std::map<MomentKey, Moment>& all() const& noexcept { return moments_; }

private:
    std::map<MomentKey, Moment> moments_;
};

/// Moments in a safetensors file: a tensor of F64 each, [n, n] or [heads, n, n], and under the
/// metadata key "anamnesis.moments" a description of what they were summed over.
class MomentFile final : public MomentSource {
public:
    /// Errors: `malformed` for a file that holds something else.
    static MomentFile open(const std::filesystem::path& path);

    bool has(const MomentKey& key) const override;
    Moment load(const MomentKey& key) const override;
    const Json& description() const& noexcept { return description_; }
    std::vector<std::string> list_names() const;

private:
    const formats::CatalogEntry* find(std::string_view name) const;

    formats::Catalog catalog_;
    Json description_;
};

/// Writes the file, whole or not at all.
void write_moments(const std::filesystem::path& path,
                   const MomentSet& moments,
                   const Json& description);

}  // namespace anamnesis::restore
