// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/results_file.hpp"

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

namespace anamnesis::eval {
namespace {

constexpr std::uint64_t most_bytes = 8ULL << 30U;

struct WholeLines {
    std::vector<Json> lines;
    std::uint64_t bytes = 0;
};

WholeLines whole_lines_of(const std::filesystem::path& path) {
    const std::string text = io::read_text(path, most_bytes);
    WholeLines result;
    std::size_t number = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos;
         end = text.find('\n', result.bytes)) {
        ++number;
        const std::string_view line =
            std::string_view(text).substr(result.bytes, end - result.bytes);
        result.lines.push_back(in_context(
            [&] { return format("reading line {} of {}", number, in_quotes(path.string())); },
            [&] { return Json::parse(line); }));
        result.bytes = end + 1;
    }
    return result;
}

}  // namespace

ResultsFile::ResultsFile(io::File file, std::vector<Json> lines, std::uint64_t size)
    : file_(std::move(file)), lines_(std::move(lines)), size_(size) {}

ResultsFile ResultsFile::open(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) {
        io::File::create(path).close();
    }
    io::File file = io::File::open_for_update(path);
    if (!file.try_lock()) {
        throw Error(ErrorKind::usage,
                    format("another process is writing {}; wait for it, or give another --out",
                           in_quotes(path.string())));
    }
    WholeLines whole = whole_lines_of(path);
    file.resize(whole.bytes);
    return {std::move(file), std::move(whole.lines), whole.bytes};
}

void ResultsFile::append(const Json& line) {
    const std::string text = line.dump() + "\n";
    file_.write_at(size_, std::as_bytes(std::span(text)));
    size_ += text.size();
}

std::vector<Json> read_results(const std::filesystem::path& path) {
    return whole_lines_of(path).lines;
}

}  // namespace anamnesis::eval
