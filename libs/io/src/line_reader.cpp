// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/line_reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {
namespace {

constexpr std::size_t block_bytes = 1U << 20U;
constexpr std::size_t longest_line = 256U << 20U;

}  // namespace

LineReader::LineReader(const std::filesystem::path& path) : file_(File::open_as_stream(path)) {}

std::string LineReader::place() const {
    return format("line {} of {}", number_, in_quotes(file_.path().string()));
}

bool LineReader::fill() {
    block_.resize(block_bytes);
    block_.resize(file_.read_next(std::as_writable_bytes(std::span(block_))));
    position_ = 0;
    return !block_.empty();
}

bool LineReader::next(std::string& line) {
    line.clear();
    if (position_ == block_.size() && !fill()) {
        return false;
    }
    ++number_;
    while (true) {
        const std::size_t end = std::min(block_.find('\n', position_), block_.size());
        line.append(block_, position_, end - position_);
        if (line.size() > longest_line) {
            throw Error(ErrorKind::malformed,
                        format("{} is longer than {}", place(), human_bytes(longest_line)));
        }
        position_ = std::min(end + 1, block_.size());
        if (end < block_.size() || !fill()) {
            break;
        }
    }
    if (line.ends_with('\r')) {
        line.pop_back();
    }
    return true;
}

bool JsonLineReader::next(Json& object) {
    do {
        if (!lines_.next(line_)) {
            return false;
        }
    } while (line_.find_first_not_of(" \t") == std::string::npos);
    object = in_context([this] { return format("reading {}", place()); },
                        [this] { return Json::parse(line_); });
    if (!object.is_object()) {
        throw Error(ErrorKind::malformed, format("{} is no JSON object", place()));
    }
    return true;
}

}  // namespace anamnesis::io
