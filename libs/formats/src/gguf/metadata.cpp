// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"

#include "gguf/types.hpp"

namespace anamnesis::formats {
namespace {

template <class Number>
Number load(std::span<const std::byte> bytes, std::size_t index) {
    Number value{};
    std::memcpy(&value, bytes.data() + index * sizeof(Number), sizeof(Number));
    return value;
}

[[noreturn]] void refuse_type(const GgufKey& key, std::string_view expected) {
    const bool is_array = key.type == GgufType::array;
    throw Error(ErrorKind::malformed,
                format("key {} is {}{}, expected {}",
                       in_quotes(key.name),
                       is_array ? "an array of " : "of type ",
                       to_string(key.element),
                       expected));
}

bool is_integer(GgufType type) {
    switch (type) {
        using enum GgufType;
        case u8:
        case i8:
        case u16:
        case i16:
        case u32:
        case i32:
        case u64:
        case i64:
            return true;
        default:
            return false;
    }
}

bool is_signed(GgufType type) {
    return type == GgufType::i8 || type == GgufType::i16 || type == GgufType::i32 ||
           type == GgufType::i64;
}

/// The bits of an integer, its sign extended to 64.
std::uint64_t load_integer(std::span<const std::byte> bytes, GgufType type, std::size_t index) {
    switch (type) {
        using enum GgufType;
        case u8:
            return load<std::uint8_t>(bytes, index);
        case i8:
            return static_cast<std::uint64_t>(std::int64_t{load<std::int8_t>(bytes, index)});
        case u16:
            return load<std::uint16_t>(bytes, index);
        case i16:
            return static_cast<std::uint64_t>(std::int64_t{load<std::int16_t>(bytes, index)});
        case u32:
            return load<std::uint32_t>(bytes, index);
        case i32:
            return static_cast<std::uint64_t>(std::int64_t{load<std::int32_t>(bytes, index)});
        default:
            return load<std::uint64_t>(bytes, index);
    }
}

double load_number(std::span<const std::byte> bytes, GgufType type, std::size_t index) {
    if (type == GgufType::f32) {
        return load<float>(bytes, index);
    }
    if (type == GgufType::f64) {
        return load<double>(bytes, index);
    }
    const std::uint64_t bits = load_integer(bytes, type, index);
    return is_signed(type) ? static_cast<double>(static_cast<std::int64_t>(bits))
                           : static_cast<double>(bits);
}

}  // namespace

GgufMetadata::GgufMetadata(std::shared_ptr<const io::File> file, std::vector<GgufKey> keys)
    : file_(std::move(file)), keys_(std::move(keys)), by_name_(keys_.size()) {
    std::iota(by_name_.begin(), by_name_.end(), 0U);
    const auto name_at = [&](std::uint32_t i) -> const std::string& { return keys_[i].name; };
    std::ranges::sort(by_name_, {}, name_at);
    const auto twin = std::ranges::adjacent_find(by_name_, {}, name_at);
    if (twin != by_name_.end()) {
        throw Error(
            ErrorKind::malformed,
            format("key {} is there twice, expected each key once", in_quotes(name_at(*twin))));
    }
}

const GgufKey* GgufMetadata::find(std::string_view key) const& {
    const auto name_at = [&](std::uint32_t i) -> std::string_view { return keys_[i].name; };
    const auto found = std::ranges::lower_bound(by_name_, key, {}, name_at);
    return found != by_name_.end() && name_at(*found) == key ? &keys_[*found] : nullptr;
}

std::vector<std::byte> GgufMetadata::read(const GgufKey& key) const {
    std::vector<std::byte> bytes(key.bytes);
    file_->read_at(key.offset, bytes);
    return bytes;
}

std::optional<std::vector<std::uint64_t>> GgufMetadata::find_counts(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (!is_integer(found->element)) {
        refuse_type(*found, "an integer");
    }
    const std::vector<std::byte> bytes = read(*found);
    std::vector<std::uint64_t> values(found->count);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = load_integer(bytes, found->element, i);
        if (is_signed(found->element) && static_cast<std::int64_t>(values[i]) < 0) {
            throw Error(ErrorKind::malformed,
                        format("key {} is {}, expected a number that is not negative",
                               in_quotes(key),
                               static_cast<std::int64_t>(values[i])));
        }
    }
    return values;
}

std::optional<std::uint64_t> GgufMetadata::find_count(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (found->type == GgufType::array) {
        refuse_type(*found, "one integer");
    }
    return find_counts(key)->front();
}

std::optional<std::vector<double>> GgufMetadata::find_numbers(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    const GgufType element = found->element;
    if (!is_integer(element) && element != GgufType::f32 && element != GgufType::f64) {
        refuse_type(*found, "a number");
    }
    const std::vector<std::byte> bytes = read(*found);
    std::vector<double> values(found->count);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = load_number(bytes, element, i);
    }
    return values;
}

std::optional<double> GgufMetadata::find_number(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (found->type == GgufType::array) {
        refuse_type(*found, "one number");
    }
    return find_numbers(key)->front();
}

std::optional<std::vector<bool>> GgufMetadata::find_flags(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (found->element != GgufType::boolean) {
        refuse_type(*found, "bools");
    }
    const std::vector<std::byte> bytes = read(*found);
    std::vector<bool> values;
    values.reserve(bytes.size());
    for (const std::byte byte : bytes) {
        values.push_back(byte != std::byte{0});
    }
    return values;
}

std::optional<bool> GgufMetadata::find_flag(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (found->type != GgufType::boolean) {
        refuse_type(*found, "one bool");
    }
    return find_flags(key)->front();
}

std::optional<std::vector<std::string>> GgufMetadata::find_strings(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (found->element != GgufType::string) {
        refuse_type(*found, "strings");
    }
    const std::vector<std::byte> bytes = read(*found);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::vector<std::string> values;
    values.reserve(found->count);
    std::size_t at = 0;
    while (values.size() < found->count) {
        // The lengths were walked when the file was opened; a file that changed since is caught.
        std::uint64_t length = 0;
        if (sizeof(length) > text.size() - at) {
            throw Error(ErrorKind::malformed,
                        format("key {} changed while it was read", in_quotes(key)));
        }
        std::memcpy(&length, text.data() + at, sizeof(length));
        at += sizeof(length);
        if (length > text.size() - at) {
            throw Error(ErrorKind::malformed,
                        format("key {} changed while it was read", in_quotes(key)));
        }
        values.emplace_back(text.substr(at, length));
        at += length;
    }
    return values;
}

std::optional<std::string> GgufMetadata::find_string(std::string_view key) const {
    const GgufKey* found = find(key);
    if (found == nullptr) {
        return std::nullopt;
    }
    if (found->type != GgufType::string) {
        refuse_type(*found, "one string");
    }
    return find_strings(key)->front();
}

std::string GgufMetadata::describe(const GgufKey& key) const {
    constexpr std::uint64_t most_shown = 8;
    if (key.element == GgufType::string) {
        return key.type == GgufType::array ? format("[{} strings]", key.count)
                                           : *find_string(key.name);
    }
    if (key.count > most_shown) {
        return format("[{} values of type {}]", key.count, to_string(key.element));
    }
    std::vector<std::string> parts;
    if (key.element == GgufType::boolean) {
        const std::vector<bool> flags = *find_flags(key.name);
        for (const bool flag : flags) {
            parts.emplace_back(flag ? "true" : "false");
        }
    } else {
        const std::vector<double> numbers = *find_numbers(key.name);
        for (const double number : numbers) {
            parts.push_back(format("{}", number));
        }
    }
    return key.type == GgufType::array ? format("[{}]", join(parts, ", ")) : parts.front();
}

}  // namespace anamnesis::formats
