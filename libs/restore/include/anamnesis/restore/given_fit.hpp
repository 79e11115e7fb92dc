// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// What a caller gave for a calibration, in words, before it is known whether it goes together.
struct GivenFit {
    std::string recall{};     ///< a file, or "niah"
    std::string chains{};     ///< a file, or "own"
    std::string questions{};  ///< a file, for chains that post writes
    std::string moments{};    ///< a folder
    std::string mu{};         ///< a list, or "auto"; empty: the method's own
    KeyInputs keys = KeyInputs::attention;
    std::uint32_t rounds = 0;
    bool scales_inputs = false;
    bool is_any = false;       ///< something of a calibration was given
    bool has_keys = false;     ///< `keys` was
    bool has_running = false;  ///< how post runs was: a tokenizer, a type, a device

    /// Whether there are texts to run post over.
    bool calibrates() const { return !recall.empty() || !chains.empty(); }
    bool chooses_mu() const { return mu == "auto"; }
};

/// The settings of a request. Errors: `usage` for a mu that is none, for what does not go together
/// or would be ignored, and for any of it with another method.
FitSettings complete_fit(const GivenFit& given, const Selection& selection);

}  // namespace anamnesis::restore
