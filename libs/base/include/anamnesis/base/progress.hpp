// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis {

/// Where libraries report how far they are; only the command prints.
/// Threads: `advance` may be called from several at once.
class Progress {
public:
    virtual ~Progress() = default;

    /// Starts a phase of `total_bytes`.
    virtual void begin(std::string_view phase, std::uint64_t total_bytes) = 0;
    virtual void advance(std::uint64_t bytes) = 0;
    virtual void finish() = 0;
};

/// Tells nobody.
class SilentProgress final : public Progress {
public:
    void begin(std::string_view /*phase*/, std::uint64_t /*total_bytes*/) override {}
    void advance(std::uint64_t /*bytes*/) override {}
    void finish() override {}
};

}  // namespace anamnesis
