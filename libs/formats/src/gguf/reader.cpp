// SPDX-License-Identifier: Apache-2.0
#include "gguf/reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {
namespace {

constexpr std::uint64_t window_bytes = 1U << 20U;
constexpr std::uint64_t most_string_bytes = 64U << 20U;

}  // namespace

GgufReader::GgufReader(const io::File& file) : file_(file), file_bytes_(file.size()) {}

void GgufReader::expect(std::uint64_t bytes, std::string_view what) const {
    if (bytes > left()) {
        throw Error(ErrorKind::malformed,
                    format("the file ends at byte {}, within {}, which begins at byte {} and has "
                           "{} bytes; it was cut off or is damaged, fetch it again",
                           file_bytes_,
                           what,
                           position_,
                           bytes));
    }
    if (position_ > max_gguf_header_bytes || bytes > max_gguf_header_bytes - position_) {
        throw Error(ErrorKind::malformed,
                    format("the header has more than {} bytes, expected at most that; {} would "
                           "end at byte {}",
                           max_gguf_header_bytes,
                           what,
                           position_ + bytes));
    }
}

void GgufReader::fill(std::span<std::byte> target, std::string_view what) {
    expect(target.size(), what);
    const bool is_inside = position_ >= window_begin_ &&
                           position_ - window_begin_ <= window_.size() &&
                           target.size() <= window_.size() - (position_ - window_begin_);
    if (!is_inside) {
        window_.resize(std::min(file_bytes_ - position_,
                                std::max<std::uint64_t>(window_bytes, target.size())));
        file_.read_at(position_, window_);
        window_begin_ = position_;
    }
    std::memcpy(target.data(), window_.data() + (position_ - window_begin_), target.size());
    position_ += target.size();
}

std::uint64_t GgufReader::read_length(std::uint64_t limit, std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    if (length > left()) {
        throw Error(ErrorKind::malformed,
                    format("{} claims {} bytes, the file has {} after its length; it was cut off "
                           "or is damaged, fetch it again",
                           what,
                           length,
                           left()));
    }
    if (length > limit) {
        throw Error(ErrorKind::malformed,
                    format("{} has {} bytes, expected at most {}", what, length, limit));
    }
    return length;
}

std::string GgufReader::read_string(std::uint64_t limit, std::string_view what) {
    const std::uint64_t length = read_length(limit, what);
    expect(length, what);
    std::string text(length, '\0');
    fill(std::as_writable_bytes(std::span(text)), what);
    return text;
}

void GgufReader::skip_string(std::string_view what) {
    skip(read_length(most_string_bytes, what), what);
}

void GgufReader::skip(std::uint64_t bytes, std::string_view what) {
    expect(bytes, what);
    position_ += bytes;
}

}  // namespace anamnesis::formats
