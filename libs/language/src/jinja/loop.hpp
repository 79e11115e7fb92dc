// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// What `loop` is inside of a loop.
struct Loop {
    std::vector<Value> items{};
    std::size_t index = 0;  ///< of the item that the loop is at
    std::int64_t depth = 0;
    std::optional<std::vector<Value>> last_seen{};  ///< what `loop.changed(…)` was given before
    /// Runs the body over other items; absent where the loop is not recursive.
    std::function<Value(const Value& items)> recurse{};
};

}  // namespace anamnesis::language::jinja
