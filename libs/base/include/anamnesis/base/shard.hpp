// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace anamnesis {

/// The share of one of several processes that divide work among them.
struct Shard {
    std::size_t index = 0;  ///< from 0
    std::size_t count = 1;

    /// "i/n", i from 1. Errors: `usage`.
    static Shard parse(std::string_view text);
    /// The rank under mpirun or srun, by the variables they set; nothing elsewhere.
    static std::optional<Shard> from_environment();

    bool takes(std::size_t item) const { return item % count == index; }
    /// "2-of-4", i from 1, for names of files.
    std::string to_name() const;
};

}  // namespace anamnesis
