// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::restore {

/// The texts that a second moment is summed over.
enum class CalibrationSide : std::uint8_t { recall, chains };

/// The inputs that a second moment is summed over. `part` is one of
///  - "q": the layer's normed input at predicting positions, for W_Q and gates;
///  - "k_attention", "k_centred", "v": the same input at all tokens, weighed by the attention that
///    they receive, or less the text's mean;
///  - "o": what o_proj reads, at predicting positions;
///  - "mlp", "down": what the feed-forward and its last matrix read, at predicting positions; the
///    router and shared experts of a mixture read "mlp" too, the shared ones' last matrix
///    "shared_down", and what leads out of the experts' own width "latent_output";
///  - "experts", "experts_down": what each expert and its last matrix read, at the predicting
///    positions that post's router sends there;
///  - "q_latent", "k_latent", "v_latent": the latents of multi-head latent attention, weighed like
///    "q", "k_attention" and "v"; on recall texts they have a target;
///  - "head": what the head reads, at predicting positions;
///  - "embedding": the tokens of the texts.
struct MomentKey {
    std::string part;
    CalibrationSide side = CalibrationSide::recall;
    std::optional<LayerIndex> layer{};  ///< absent outside the layers
    bool is_held_back = false;          ///< of the texts that are held back to measure with, alone

    friend auto operator<=>(const MomentKey&, const MomentKey&) = default;
};

/// "k_attention.S_R.2", "q.S_C.2", "head.S_C": S_R is recall, S_C chains; "q.H_R.2" is the part of
/// "q.S_R.2" that texts gave which are held back.
std::string to_string(const MomentKey& key);

/// sum_t w_t x_t x_t^T, not scaled.
struct Moment {
    /// One, or one for each key-value head or expert.
    /// Shapes: all [inputs, inputs], or one more where the projection has a bias: x is then
    ///         followed by 1.
    std::vector<linalg::Matrix> matrices{};
    /// In place of them, where inputs are tokens: how often each of the vocabulary was read.
    std::vector<double> diagonal{};
    /// sum_t w_t y_t x_t^T with y the rows that pre makes at the same place by its whole path,
    /// where pre's matrix has inputs of its own; else empty. Shapes: [outputs, inputs].
    linalg::Matrix target{};
    /// Inputs x that each of them was summed over; empty where a file does not tell.
    std::vector<std::uint64_t> counts{};
};

/// Whether the moments of a part have a target on recall texts.
bool has_target(std::string_view part);

/// Whether the part's moment has a matrix for each expert.
bool is_of_experts(std::string_view part);

/// Where moments come from. Threads: const functions may run at once.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions)
class MomentSource {
public:
    virtual ~MomentSource() = default;
    virtual bool has(const MomentKey& key) const = 0;
    /// Errors: `not_found`, naming the moment; those of a file.
    virtual Moment load(const MomentKey& key) const = 0;
    /// Shows a moment without a copy where it is in memory. Errors: as `load`.
    virtual void visit(const MomentKey& key, const std::function<void(const Moment&)>& look) const {
        look(load(key));
    }
    /// Those of the moment alone. Errors: as `load`.
    virtual std::vector<std::uint64_t> load_counts(const MomentKey& key) const = 0;
    /// Of all moments, ascending.
    virtual std::vector<MomentKey> list_keys() const = 0;
};

/// Moments in memory.
class MomentSet final : public MomentSource {
public:
    void set(const MomentKey& key, Moment moment);
    bool has(const MomentKey& key) const override { return moments_.contains(key); }
    Moment load(const MomentKey& key) const override;
    void visit(const MomentKey& key, const std::function<void(const Moment&)>& look) const override;
    std::vector<std::uint64_t> load_counts(const MomentKey& key) const override;
    std::vector<MomentKey> list_keys() const override;
    /// Takes over moments that are not here yet.
    void merge(MomentSet&& other) { moments_.merge(other.moments_); }
    const std::map<MomentKey, Moment>& all() const& noexcept { return moments_; }

private:
    const Moment& at(const MomentKey& key) const;

    std::map<MomentKey, Moment> moments_;
};

/// Moments in a safetensors file: a tensor of F64 each, [n, n], [heads, n, n] or [n], with another,
/// [heads], for its counts ("q.N_R.2" of "q.S_R.2"), and under the metadata key
/// "anamnesis.moments" a description of what they were summed over.
class MomentFile final : public MomentSource {
public:
    /// Errors: `malformed` for a file that holds something else.
    static MomentFile open(const std::filesystem::path& path);

    bool has(const MomentKey& key) const override;
    Moment load(const MomentKey& key) const override;
    std::vector<std::uint64_t> load_counts(const MomentKey& key) const override;
    std::vector<MomentKey> list_keys() const override;
    const Json& description() const& noexcept { return description_; }
    std::vector<std::string> list_names() const;

private:
    const formats::CatalogEntry* find(std::string_view name) const;

    formats::Catalog catalog_;
    Json description_;
};

/// Writes the file, whole or not at all, a moment at a time.
void write_moments(const std::filesystem::path& path,
                   const MomentSource& moments,
                   const Json& description);

/// Writes the same into an empty file, without syncing it: for files that nobody needs after a
/// crash.
void write_moments(const io::File& file, const MomentSource& moments, const Json& description);

}  // namespace anamnesis::restore
