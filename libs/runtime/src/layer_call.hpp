// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/runtime/network.hpp"

#include "key_value_cache.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {

/// What one layer keeps of one sequence; a mixer uses what it needs of it.
struct LayerState {
    std::optional<KeyValueCache> cache{};  ///< keys and values of softmax attention
    at::Tensor recurrent{};                ///< [1, H, K, V], [1, I, N] or [1, C]; undefined: zero
    at::Tensor past{};                     ///< [1, W - 1, C] inputs of a convolution; or undefined
};

/// How key-value caches are made.
struct CacheOptions {
    at::ScalarType type = at::kFloat;
    std::int64_t page_length = 0;  ///< tokens
};

/// What all layers of one call share.
struct Call {
    std::vector<std::int64_t> starts;    ///< position of the first token, for each sequence
    std::vector<RotaryTables> tables{};  ///< one for each rotary encoding of the model
    std::size_t layer = 0;               ///< the one that is computed
    at::Tensor embeddings{};  ///< [B, T, d], what entered layer 0; where a mixer reads it
    const AttentionObserver* attention = nullptr;
    const InputObserver* inputs = nullptr;
    std::optional<std::uint32_t> expert{};  ///< that is computed
    at::Tensor tokens{};                    ///< that it reads, [n] int64
    /// Of how many last tokens the output of the mixer is wanted; absent: of all. A mixer may give
    /// more.
    std::optional<std::int64_t> wanted{};

    /// Rows of the tokens that are wanted, of rows of all or of those alone.
    /// Shapes: [B, T, ...] -> [B, wanted, ...].
    at::Tensor take_wanted(const at::Tensor& rows) const {
        if (!wanted || rows.size(1) <= *wanted) {
            return rows;
        }
        return rows.narrow(1, rows.size(1) - *wanted, *wanted).contiguous();
    }

    /// The call as the wanted of `length` tokens see it: their positions, and all are wanted.
    /// Nothing where all of them are.
    std::optional<Call> narrow_to_wanted(std::int64_t length) const;

    /// Tells the observer, if there is one, what the matrix of role `role` reads.
    void tell_input(std::string_view role, const at::Tensor& input) const {
        if (inputs != nullptr) {
            (*inputs)({.layer = LayerIndex(static_cast<std::uint32_t>(layer)),
                       .role = role,
                       .values = input,
                       .expert = expert,
                       .tokens = tokens});
        }
    }
};

}  // namespace anamnesis::runtime
