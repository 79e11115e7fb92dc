// SPDX-License-Identifier: Apache-2.0
#include "protobuf.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {
namespace {

void require(const ProtobufField& field, ProtobufField::Kind kind, std::string_view name) {
    if (field.kind != kind) {
        throw Error(ErrorKind::malformed,
                    format("field {} of a message is no {}", field.number, name));
    }
}

std::uint64_t read_little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i > 0; --i) {
        value = (value << 8U) | static_cast<unsigned char>(bytes[i - 1]);
    }
    return value;
}

}  // namespace

std::string_view ProtobufField::as_bytes() const {
    require(*this, Kind::bytes, "text or message");
    return bytes;
}

float ProtobufField::as_float() const {
    require(*this, Kind::fixed32, "number of 32 bits");
    return std::bit_cast<float>(static_cast<std::uint32_t>(value));
}

std::uint64_t ProtobufField::as_integer() const {
    require(*this, Kind::integer, "integer");
    return value;
}

std::uint64_t ProtobufReader::read_varint() {
    const std::size_t begin = at_;
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (at_ == message_.size()) {
            break;
        }
        const auto byte = static_cast<unsigned char>(message_[at_++]);
        const std::uint64_t part = byte & 0x7FU;
        if (shift == 63 && part > 1) {
            break;
        }
        value |= part << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    throw Error(ErrorKind::malformed,
                format("byte {} of {} begins a number that does not end or is too large",
                       begin,
                       message_.size()));
}

std::string_view ProtobufReader::take(std::uint64_t size) {
    if (size > message_.size() - at_) {
        throw Error(ErrorKind::malformed,
                    format("a field of {} bytes begins at byte {} of a message of {}",
                           size,
                           at_,
                           message_.size()));
    }
    const std::string_view bytes = message_.substr(at_, static_cast<std::size_t>(size));
    at_ += bytes.size();
    return bytes;
}

bool ProtobufReader::next(ProtobufField& field) {
    if (at_ == message_.size()) {
        return false;
    }
    const std::size_t begin = at_;
    const std::uint64_t tag = read_varint();
    field = {.number = tag >> 3U};
    switch (tag & 7U) {
        case 0:
            field.value = read_varint();
            break;
        case 1:
            field.kind = ProtobufField::Kind::fixed64;
            field.value = read_little_endian(take(8));
            break;
        case 2:
            field.kind = ProtobufField::Kind::bytes;
            field.bytes = take(read_varint());
            break;
        case 5:
            field.kind = ProtobufField::Kind::fixed32;
            field.value = read_little_endian(take(4));
            break;
        default:
            throw Error(
                ErrorKind::malformed,
                format(
                    "byte {} begins a field of wire type {}, which is not known", begin, tag & 7U));
    }
    if (field.number == 0) {
        throw Error(ErrorKind::malformed, format("byte {} begins a field without number", begin));
    }
    return true;
}

}  // namespace anamnesis::language
