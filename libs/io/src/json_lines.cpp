// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/json_lines.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::io {
namespace {

constexpr std::uint64_t most_bytes = 8ULL << 30U;

struct WholeLines {
    std::vector<Json> lines;
    std::vector<std::uint64_t> ends;
};

WholeLines read_whole_lines(const std::filesystem::path& path) {
    const std::string text = read_text(path, most_bytes);
    WholeLines result;
    std::size_t begin = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos;
         end = text.find('\n', begin)) {
        const std::string_view line = std::string_view(text).substr(begin, end - begin);
        result.lines.push_back(in_context(
            [&] {
                return format("reading line {} of {}",
                              result.lines.size() + 1,
                              in_quotes(path.string(), 1000));
            },
            [&] { return Json::parse(line); }));
        begin = end + 1;
        result.ends.push_back(begin);
    }
    return result;
}

}  // namespace

JsonLines::JsonLines(File file, std::vector<Json> lines, std::vector<std::uint64_t> ends)
    : file_(std::move(file)),
      lines_(std::move(lines)),
      ends_(std::move(ends)),
      size_(ends_.empty() ? 0 : ends_.back()) {}

JsonLines JsonLines::open(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) {
        File::create(path).close();
    }
    File file = File::open_for_update(path);
    if (!file.try_lock()) {
        throw Error(ErrorKind::usage,
                    format("another process is writing {}; wait for it, or give another --out",
                           in_quotes(path.string(), 1000)));
    }
    WholeLines whole = read_whole_lines(path);
    file.resize(whole.ends.empty() ? 0 : whole.ends.back());
    return {std::move(file), std::move(whole.lines), std::move(whole.ends)};
}

void JsonLines::keep_first(std::size_t count) {
    if (count < lines_.size()) {
        lines_.resize(count);
        ends_.resize(count);
    }
    size_ = ends_.empty() ? 0 : ends_.back();
    file_.resize(size_);
}

void JsonLines::append(const Json& line) {
    const std::string text = line.dump() + "\n";
    file_.write_at(size_, std::as_bytes(std::span(text)));
    size_ += text.size();
}

std::vector<Json> read_json_lines(const std::filesystem::path& path) {
    return read_whole_lines(path).lines;
}

}  // namespace anamnesis::io
