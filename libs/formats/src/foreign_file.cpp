// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/foreign_file.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {
namespace {

constexpr std::uint64_t sniffed_bytes = 4096;

/// Bytes that a kind of file begins with.
struct Signature {
    std::string_view bytes;
    std::string_view what;
};
constexpr std::string_view convert_first =
    "; convert the model to safetensors first (save_pretrained of transformers writes it)";
constexpr std::array signatures{
    Signature{"GGUF", "a GGUF file of llama.cpp; name it with the ending .gguf"},
    Signature{"\x89HDF\r\n", "an HDF5 file of Keras; convert the model to safetensors first"},
    Signature{"\x1F\x8B", "a gzip archive; unpack it first"},
    Signature{"\xFD"
              "7zXZ",
              "an xz archive; unpack it first"},
    Signature{"\x28\xB5\x2F\xFD", "a zstd archive; unpack it first"},
    Signature{"BZh", "a bzip2 archive; unpack it first"},
    Signature{"7z\xBC\xAF", "a 7-Zip archive; unpack it first"},
    Signature{"Rar!", "a RAR archive; unpack it first"},
    Signature{"\x93NUMPY", "a NumPy array; convert the model to safetensors first"},
    Signature{"\x7F"
              "ELF",
              "a program, not weights"},
};

std::string to_lower(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    return lower;
}

bool is_text(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte >= 0x20U || byte == '\n' || byte == '\r' || byte == '\t';
    });
}

std::string describe_pointer(std::string_view text) {
    constexpr std::string_view key = "\nsize ";
    std::string size;
    if (const std::size_t at = text.find(key); at != std::string_view::npos) {
        const std::string_view rest = text.substr(at + key.size());
        size = rest.substr(0, rest.find_first_not_of("0123456789"));
    }
    return format("a Git LFS pointer{}, not the file itself; fetch the file with 'git lfs pull'",
                  size.empty() ? std::string() : format(" to a file of {} bytes", size));
}

/// A zip archive: torch.save writes one, whose first member is data.pkl.
std::string describe_zip(std::string_view text) {
    const bool is_torch = text.find("data.pkl") != std::string_view::npos ||
                          text.find(".data/serialization_id") != std::string_view::npos;
    return is_torch ? format("a pickle that torch.save wrote (.bin, .pt){}", convert_first)
                    : std::string("a zip archive; unpack it first");
}

bool begins_as_pointer(std::string_view text) {
    return text.starts_with("version https://git-lfs") ||
           text.starts_with("version https://hawser");
}

/// The first bytes of a file; empty for one that cannot be read.
std::string read_beginning(const std::filesystem::path& path) {
    try {
        const io::File file = io::File::open_for_reading(path);
        std::string text(std::min(file.size(), sniffed_bytes), '\0');
        file.read_at(0, std::as_writable_bytes(std::span(text)));
        return text;
    } catch (const Error&) {
        return {};
    }
}

std::optional<std::string> describe_text(std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n\xEF\xBB\xBF"), text.size());
    const std::string start = to_lower(text.substr(begin, 512));
    for (const std::string_view tag : {"<!doctype html", "<html", "<head", "<body", "<?xml"}) {
        if (start.starts_with(tag)) {
            return "a web page (HTML or XML), as servers send it in place of a file that needs a "
                   "login or is not there; fetch the file again";
        }
    }
    for (const std::string_view words : {"entry not found",
                                         "invalid username or password",
                                         "access to model",
                                         "repository not found",
                                         "unauthorized",
                                         "not found",
                                         "forbidden",
                                         "{\"error\""}) {
        if (start.starts_with(words)) {
            return format("the answer of a server ({}), not a file; fetch the file again",
                          in_quotes(text.substr(begin, 60)));
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> describe_foreign_bytes(std::string_view text) {
    if (begins_as_pointer(text)) {
        return describe_pointer(text);
    }
    for (const Signature& signature : signatures) {
        if (text.starts_with(signature.bytes)) {
            return std::string(signature.what);
        }
    }
    if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) {
        return describe_zip(text);
    }
    // A pickle begins with the opcode PROTO and its version, and an opcode.
    if (text.size() > 2 && text[0] == '\x80' && text[1] >= '\x02' && text[1] <= '\x05' &&
        (text[2] == '\x8A' || text[2] == '}' || text[2] == 'c' || text[2] == ']' ||
         text[2] == '\x95' || text[2] == 'X' || text[2] == '(')) {
        return format("a pickle (torch.save wrote such .bin and .pt files){}", convert_first);
    }
    if (text.size() > 262 && text.substr(257, 5) == "ustar") {
        return "a tar archive; unpack it first";
    }
    if (text.size() >= 64 && std::ranges::all_of(text, [](char c) { return c == '\0'; })) {
        return "a file of zeros, as a broken download leaves it; fetch the file again";
    }
    return is_text(text.substr(0, 512)) ? describe_text(text) : std::nullopt;
}

std::optional<std::string> describe_foreign_file(const std::filesystem::path& path) {
    const std::string text = read_beginning(path);
    // The size of an empty file says it better.
    return text.empty() ? std::nullopt : describe_foreign_bytes(text);
}

bool is_lfs_pointer(const std::filesystem::path& path) {
    return begins_as_pointer(read_beginning(path));
}

}  // namespace anamnesis::formats
