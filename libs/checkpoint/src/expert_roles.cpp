// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/expert_roles.hpp"

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>
#include <system_error>

namespace anamnesis::checkpoint::role {

std::optional<ExpertPart> find_expert(std::string_view role) {
    constexpr std::string_view prefix = "expert.";
    if (!role.starts_with(prefix)) {
        return std::nullopt;
    }
    role.remove_prefix(prefix.size());
    ExpertPart found;
    const char* const last = role.data() + role.size();
    const auto [end, error] = std::from_chars(role.data(), last, found.index);
    if (error != std::errc{} || end == last || *end != '.') {
        return std::nullopt;
    }
    found.part = role.substr(static_cast<std::size_t>(end - role.data()) + 1);
    return found;
}

}  // namespace anamnesis::checkpoint::role
