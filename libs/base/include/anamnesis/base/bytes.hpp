// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace anamnesis {

/// Product of `factors`, or nothing where it does not fit 64 bits. The empty product is 1. A zero
/// does not hide that the other factors overflow, wherever it is.
std::optional<std::uint64_t> checked_product(std::span<const std::uint64_t> factors) noexcept;

std::optional<std::uint64_t> checked_sum(std::uint64_t left, std::uint64_t right) noexcept;

/// Bytes [begin, end) that are known to lie inside the file or buffer they were made for.
class ByteRange {
public:
    ByteRange() = default;

    /// Errors: `malformed` unless begin <= end <= whole.
    static ByteRange within(std::uint64_t begin, std::uint64_t end, std::uint64_t whole);

    std::uint64_t begin() const noexcept { return begin_; }
    std::uint64_t end() const noexcept { return end_; }
    std::uint64_t size() const noexcept { return end_ - begin_; }
    friend bool operator==(const ByteRange&, const ByteRange&) = default;

private:
    ByteRange(std::uint64_t begin, std::uint64_t end) : begin_(begin), end_(end) {}

    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
};

}  // namespace anamnesis
