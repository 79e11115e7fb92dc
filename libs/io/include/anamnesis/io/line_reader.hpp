// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

/// Lines of a text file one after the other, in memory of one block and one line.
class LineReader {
public:
    /// "-" is standard input; pipes are read as they come.
    /// Errors: `not_found`, `io`.
    explicit LineReader(const std::filesystem::path& path);

    /// The next line without its end ("\n" or "\r\n"); false after the last one.
    /// Errors: `malformed` for a line above 256 MB, naming file and line.
    bool next(std::string& line);

    /// The number of the line that `next` gave last, from 1.
    std::size_t number() const noexcept { return number_; }

    /// "line 12 of answers.jsonl", for error messages.
    std::string place() const;

private:
    bool fill();

    File file_;
    std::string block_;
    std::size_t position_ = 0;
    std::size_t number_ = 0;
};

/// The JSON object of each line that is not empty.
class JsonLineReader {
public:
    explicit JsonLineReader(const std::filesystem::path& path) : lines_(path) {}

    /// Errors: `malformed` for what is no JSON object, naming file and line.
    bool next(Json& object);

    std::string place() const { return lines_.place(); }
    std::size_t number() const noexcept { return lines_.number(); }

private:
    LineReader lines_;
    std::string line_;
};

}  // namespace anamnesis::io
