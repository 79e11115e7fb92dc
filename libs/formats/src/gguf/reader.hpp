// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {

/// Reads a header from its first byte on, in pieces, and never beyond the end of the file or the
/// largest header. Errors: `malformed` with what was being read and where.
class GgufReader {
public:
    explicit GgufReader(const io::File& file);

    /// A number as it lies in the file, little-endian.
    template <class Number>
    Number read(std::string_view what) {
        std::array<std::byte, sizeof(Number)> raw{};
        fill(raw, what);
        Number value{};
        std::memcpy(&value, raw.data(), sizeof(value));
        return value;
    }

    /// A length of 64 bits and as many bytes, at most `limit`.
    std::string read_string(std::uint64_t limit, std::string_view what);
    /// The same without keeping the bytes.
    void skip_string(std::string_view what);
    void skip(std::uint64_t bytes, std::string_view what);

    std::uint64_t position() const { return position_; }
    /// Bytes between here and the end of the file.
    std::uint64_t left() const { return file_bytes_ - position_; }

private:
    void fill(std::span<std::byte> target, std::string_view what);
    std::uint64_t read_length(std::uint64_t limit, std::string_view what);
    void expect(std::uint64_t bytes, std::string_view what) const;

    const io::File& file_;
    std::uint64_t file_bytes_ = 0;
    std::uint64_t position_ = 0;
    std::uint64_t window_begin_ = 0;
    std::vector<std::byte> window_;
};

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");

}  // namespace anamnesis::formats
