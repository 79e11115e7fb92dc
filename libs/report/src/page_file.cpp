// SPDX-License-Identifier: Apache-2.0
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::report {
namespace {

namespace fs = std::filesystem;

/// Whether a file begins as pages do. An empty one holds nothing to lose.
bool is_page(const fs::path& path) {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) {
        return false;
    }
    std::string beginning(64, ' ');
    const io::File file = io::File::open_for_reading(path);
    beginning.resize(file.read_next(std::as_writable_bytes(std::span(beginning))));
    for (char& c : beginning) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    const std::size_t start = beginning.find_first_not_of(" \t\r\n");
    if (start == std::string::npos) {
        return true;
    }
    const std::string_view text = std::string_view(beginning).substr(start);
    return text.starts_with("<!doctype html") || text.starts_with("<html");
}

}  // namespace

void check_page_target(const fs::path& target) {
    std::error_code ignored;
    if (!target.empty() && fs::exists(target, ignored) && !is_page(target)) {
        throw Error(
            ErrorKind::usage,
            format("{} exists and is no page, and a page would take its place; name another "
                   "file, or remove it first",
                   in_quotes(target.string(), 1000)));
    }
}

void write_page(const fs::path& target, const Document& document) {
    check_page_target(target);
    io::write_text_atomically(target, to_html(document));
}

}  // namespace anamnesis::report
