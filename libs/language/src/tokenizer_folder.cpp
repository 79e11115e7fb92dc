// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_folder.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "gguf_tokenizer.hpp"
#include "listed_tokens.hpp"
#include "sentence_piece_tokenizer.hpp"
#include "tekken_tokenizer.hpp"
#include "tiktoken_tokenizer.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20U;

TokenizerFile open_model_file(const fs::path& path) {
    return in_context([&] { return format("reading {}", path.string()); },
                      [&] {
                          return parse_model_file(io::read_text(path, most_bytes),
                                                  read_tokenizer_config(path.parent_path()));
                      });
}

}  // namespace

std::optional<fs::path> find_tokenizer_file(const fs::path& place) {
    if (!fs::is_directory(place)) {
        return fs::exists(place) ? std::optional(place) : std::nullopt;
    }
    constexpr std::array<std::string_view, 6> names{"tokenizer.json",
                                                    "merges.txt",
                                                    "tekken.json",
                                                    "tokenizer.model",
                                                    "tiktoken.model",
                                                    "qwen.tiktoken"};
    for (const std::string_view name : names) {
        if (!fs::exists(place / name)) {
            continue;
        }
        if (name != "merges.txt") {
            return place / name;
        }
        if (fs::exists(place / "vocab.json")) {
            return place / "vocab.json";
        }
    }
    return std::nullopt;
}

TokenizerFile parse_model_file(std::string_view bytes, const Json& config) {
    if (bytes.starts_with("version https://git-lfs")) {
        throw Error(ErrorKind::malformed,
                    "it is a pointer of Git LFS, not the file; fetch it with git lfs pull");
    }
    if (is_tiktoken_file(bytes)) {
        return read_tiktoken_tokenizer(bytes, config);
    }
    const std::size_t first = bytes.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && bytes[first] == '{') {
        return read_tekken_tokenizer(bytes, config);
    }
    return read_sentence_piece_tokenizer(bytes, config);
}

TokenizerFile open_tokenizer_file(const fs::path& place) {
    if (place.extension() == ".gguf") {
        return read_gguf_tokenizer(place);
    }
    const std::optional<fs::path> found = find_tokenizer_file(place);
    if (fs::is_directory(place) && !found) {
        throw Error(ErrorKind::not_found,
                    format("{} holds no tokenizer.json, no vocab.json with merges.txt, and no "
                           "tekken.json, tokenizer.model or tiktoken.model",
                           in_quotes(place.string(), 1000)));
    }
    const fs::path file = found.value_or(place);
    if (fs::is_directory(place) && file.filename() == "vocab.json") {
        return in_context([&] { return format("opening the tokenizer of {}", place.string()); },
                          [&] { return read_vocabulary_and_merges(place); });
    }
    if (file.extension() != ".json" || file.filename() == "tekken.json") {
        return open_model_file(file);
    }
    TokenizerFile read =
        in_context([&] { return format("reading {}", file.string()); },
                   [&] { return parse_tokenizer_json(io::read_text(file, most_bytes)); });
    if (fs::is_directory(place)) {
        in_context(
            [&] { return format("reading the tokenizer_config.json of {}", place.string()); },
            [&] { add_configured_tokens(read, read_tokenizer_config(place)); });
    }
    return read;
}

}  // namespace anamnesis::language
