// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/checkpoint_roles.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace anamnesis::eval {

std::vector<std::pair<std::string, std::string>> CheckpointRoles::pairs() const {
    std::vector<std::pair<std::string, std::string>> result;
    if (pre.empty() || post.empty()) {
        return result;
    }
    result.emplace_back(pre, post);
    for (const std::string& name : repaired) {
        result.emplace_back(post, name);
        result.emplace_back(pre, name);
    }
    return result;
}

CheckpointRoles assign_roles(std::span<const std::string> checkpoints,
                             const std::string& pre,
                             const std::string& post) {
    CheckpointRoles roles;
    std::vector<std::string> left(checkpoints.begin(), checkpoints.end());
    const auto take = [&](const std::string& name) {
        const auto found = std::ranges::find(left, name);
        if (found == left.end()) {
            return std::string();
        }
        std::string taken = *found;
        left.erase(found);
        return taken;
    };
    roles.pre = take(pre.empty() ? "pre" : pre);
    roles.post = take(post.empty() ? "post" : post);
    for (std::string* role : {&roles.pre, &roles.post}) {
        if (role->empty() && !left.empty()) {
            *role = take(std::string(left.front()));
        }
    }
    roles.repaired = std::move(left);
    return roles;
}

}  // namespace anamnesis::eval
