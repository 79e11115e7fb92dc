// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis {

/// What is counted.
enum class ProgressUnit : std::uint8_t { bytes, tokens, samples, steps };

/// Where libraries report how far they are; only the command prints.
/// Threads: `advance` may be called from several at once.
class Progress {
public:
    virtual ~Progress() = default;

    /// Starts a phase of `total` units.
    virtual void begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) = 0;
    virtual void advance(std::uint64_t count) = 0;
    virtual void finish() = 0;
    /// Words beside the figures of the phase, until others take their place: "loss 1.2042".
    virtual void note(std::string_view /*words*/) {}
};

/// Tells nobody.
class SilentProgress final : public Progress {
public:
    void begin(std::string_view /*phase*/,
               std::uint64_t /*total*/,
               ProgressUnit /*unit*/) override {}
    void advance(std::uint64_t /*count*/) override {}
    void finish() override {}
};

}  // namespace anamnesis
