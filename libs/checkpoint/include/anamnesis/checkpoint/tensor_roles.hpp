// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

/// What a tensor is to the part of a model that uses it, whatever it is called in the file. A part
/// asks for its tensors by role; these are the roles that several parts have.
namespace anamnesis::checkpoint::role {

inline constexpr std::string_view embedding = "embedding";
inline constexpr std::string_view positions = "positions";  ///< learned, added to embeddings
inline constexpr std::string_view embedding_norm = "embedding_norm";
inline constexpr std::string_view final_norm = "final_norm";
inline constexpr std::string_view head = "head";

inline constexpr std::string_view mixer_norm = "mixer_norm";
inline constexpr std::string_view mixer_post_norm = "mixer_post_norm";
inline constexpr std::string_view feed_forward_norm = "feed_forward_norm";
inline constexpr std::string_view feed_forward_post_norm = "feed_forward_post_norm";

inline constexpr std::string_view query = "query";
inline constexpr std::string_view key = "key";
inline constexpr std::string_view value = "value";
inline constexpr std::string_view query_key_value = "query_key_value";
inline constexpr std::string_view sinks = "sinks";
inline constexpr std::string_view kernel_bias = "kernel.bias";  ///< of a convolution
inline constexpr std::string_view output = "output";
inline constexpr std::string_view output_gate = "output_gate";
inline constexpr std::string_view query_norm = "query_norm";
inline constexpr std::string_view key_norm = "key_norm";
inline constexpr std::string_view output_norm = "output_norm";

/// The role of the bias that is added to a product with the matrix of role `matrix`.
inline std::string to_bias_role(std::string_view matrix) {
    return std::string(matrix) + ".bias";
}

}  // namespace anamnesis::checkpoint::role
