// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace anamnesis::eval {

/// Who is who in the story.
struct CheckpointRoles {
    std::string pre;
    std::string post;
    std::vector<std::string> repaired;

    /// The pairs to compare, earlier first: pre and post, then each repair against both.
    std::vector<std::pair<std::string, std::string>> pairs() const;
};

/// The names given, or where they are empty `pre` and `post` if they occur, else the first and the
/// second; all others are repaired. Roles without a checkpoint stay empty.
CheckpointRoles assign_roles(std::span<const std::string> checkpoints,
                             const std::string& pre = {},
                             const std::string& post = {});

}  // namespace anamnesis::eval
