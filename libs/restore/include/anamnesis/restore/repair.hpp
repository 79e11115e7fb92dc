// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// Where a repair goes.
struct Destination {
    enum class Kind : std::uint8_t {
        copy,      ///< a folder, or a .safetensors file where post is one
        in_place,  ///< post itself
        patch,     ///< a file with the new rows
    };

    Kind kind = Kind::copy;
    std::filesystem::path path{};  ///< of a copy or a patch
    OutputOptions output{};        ///< of a copy
};

/// Errors: `usage` for what does not go with a request or with each other, in the words of
///         `restore`'s options.
void check_destination(const Request& request, const Destination& destination);

/// One path for each output of a request: "out" for one, "out-lambda-rel-0.1" or "out-mu-0.3" and
/// so on for several. A file keeps its extension.
std::vector<std::filesystem::path> list_targets(const std::filesystem::path& path,
                                                const Request& request);

/// Carries a plan out.
/// Errors: those of the writers in apply.hpp.
std::vector<Result> repair(const Plan& plan,
                           const Destination& destination,
                           const Execution& execution);

/// What a repair would cost; nothing is written.
struct DryRun {
    OutputCost cost{};  ///< of one output
    std::uint64_t outputs = 1;
    std::uint64_t free_bytes = 0;  ///< where it would go
};

DryRun estimate_costs(const Plan& plan, const Destination& destination);

Json to_json(const Plan& plan, const DryRun& costs);
/// A table of the rows that change, and the costs.
std::string to_text(const Plan& plan, const DryRun& costs);

}  // namespace anamnesis::restore
