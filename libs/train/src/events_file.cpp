// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/events_file.hpp"

#include <bit>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::train {
namespace {

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// Numbers of `bytes` bytes, the lowest first.
std::string little_endian(std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) {
        text += static_cast<char>(value >> (8 * i) & 0xFFU);
    }
    return text;
}

// Fields of Protocol Buffers: a key (number and kind), then the value.

std::string varint(std::uint64_t value) {
    std::string text;
    for (; value >= 0x80U; value >>= 7U) {
        text += static_cast<char>((value & 0x7FU) | 0x80U);
    }
    return text + static_cast<char>(value);
}

std::string key(unsigned number, unsigned kind) {
    return varint(number << 3U | kind);
}

std::string integer_field(unsigned number, std::uint64_t value) {
    return key(number, 0) + varint(value);
}

std::string double_field(unsigned number, double value) {
    return key(number, 1) + little_endian(std::bit_cast<std::uint64_t>(value), 8);
}

std::string float_field(unsigned number, float value) {
    return key(number, 5) + little_endian(std::bit_cast<std::uint32_t>(value), 4);
}

std::string bytes_field(unsigned number, std::string_view bytes) {
    return key(number, 2) + varint(bytes.size()) + std::string(bytes);
}

/// A checksum of data that may hold checksums is turned, so that it does not check itself.
std::string masked_crc(std::string_view data) {
    return little_endian(std::rotr(crc32c(data), 15) + 0xA282EAD8U, 4);
}

/// Event.wall_time is field 1, step 2, file_version 3, summary 5, session_log 7.
std::string event(double seconds, std::uint64_t step) {
    return double_field(1, seconds) + (step == 0 ? "" : integer_field(2, step));
}

}  // namespace

std::uint32_t crc32c(std::string_view data) {
    std::uint32_t crc = ~0U;
    for (const char c : data) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc & 1U) != 0 ? crc >> 1U ^ 0x82F63B78U : crc >> 1U;
        }
    }
    return ~crc;
}

std::string make_record(std::string_view data) {
    const std::string length = little_endian(data.size(), 8);
    return length + masked_crc(length) + std::string(data) + masked_crc(data);
}

std::string scalar_event(double seconds, std::uint64_t step, const EventsFile::Scalars& scalars) {
    std::string summary;
    for (const auto& [tag, value] : scalars) {
        // Summary.value is field 1; of a Value tag is 1 and simple_value 2.
        summary += bytes_field(1, bytes_field(1, tag) + float_field(2, static_cast<float>(value)));
    }
    return event(seconds, step) + bytes_field(5, summary);
}

EventsFile::EventsFile(const std::filesystem::path& folder, std::uint64_t first_step)
    : file_(io::File::create(folder /
                             format("events.out.tfevents.{:.6f}.anamnesis", seconds_now()))) {
    append(event(seconds_now(), 0) + bytes_field(3, "brain.Event:2"));
    if (first_step > 0) {
        // SessionLog.status START (1): readers drop what they have of this step and later ones.
        append(event(seconds_now(), first_step) + bytes_field(7, integer_field(1, 1)));
    }
}

void EventsFile::add(std::uint64_t step, const Scalars& scalars) {
    append(scalar_event(seconds_now(), step, scalars));
}

void EventsFile::append(std::string_view event_bytes) {
    const std::string record = make_record(event_bytes);
    file_.write_at(size_, std::as_bytes(std::span(record)));
    size_ += record.size();
}

}  // namespace anamnesis::train
