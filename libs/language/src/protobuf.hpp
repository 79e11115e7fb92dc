// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace anamnesis::language {

/// One field of a message.
struct ProtobufField {
    std::uint64_t number = 0;
    std::uint64_t value = 0;   ///< of an integer, a flag or an enum; the bits of a fixed number
    std::string_view bytes{};  ///< of a text or a message within the message
    enum class Kind : std::uint8_t { integer, fixed32, fixed64, bytes } kind = Kind::integer;

    /// The value as what the schema says it is. Errors: `malformed` where it is of another kind.
    std::string_view as_bytes() const;
    float as_float() const;
    bool as_flag() const { return as_integer() != 0; }
    std::uint64_t as_integer() const;
};

/// Reads the fields of a message one after the other, from memory that outlives it. The schema is
/// the caller's: what it does not know, it leaves out.
///
/// Source: protobuf.dev, "Encoding".
class ProtobufReader {
public:
    explicit ProtobufReader(std::string_view message) : message_(message) {}

    /// False at the end. Errors: `malformed`, naming the byte, for a field that the message does
    /// not hold whole, a number of more than 64 bits, or a group.
    bool next(ProtobufField& field);

private:
    std::uint64_t read_varint();
    std::string_view take(std::uint64_t size);

    std::string_view message_;
    std::size_t at_ = 0;
};

}  // namespace anamnesis::language
