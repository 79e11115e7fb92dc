// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Reading the roles of a mixture's matrices (feed_forwards/mixture.hpp).
namespace anamnesis::checkpoint::role {

/// What the roles of stacks begin with: all experts in one tensor, by its first dimension.
inline constexpr std::string_view experts_prefix = "experts.";

/// Which expert a matrix of its own belongs to, and which part of the expert it is.
struct ExpertPart {
    std::uint32_t index = 0;
    std::string part{};
};

/// Nothing for a role that `expert` does not make.
std::optional<ExpertPart> find_expert(std::string_view role);

}  // namespace anamnesis::checkpoint::role
