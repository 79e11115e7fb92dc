// SPDX-License-Identifier: Apache-2.0
#include "hand_over.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/output_checks.hpp"

namespace anamnesis::app {
namespace {

constexpr const char* program = "anamnesis-torch";

std::vector<std::filesystem::path> places() {
    std::vector<std::filesystem::path> folders;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet.
    if (const char* stated = std::getenv("ANAMNESIS_LIBEXEC"); stated != nullptr) {
        folders.emplace_back(stated);
    }
    std::error_code ignored;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    folders.push_back(own.parent_path() / "libexec" / "anamnesis");
    folders.push_back(own);
    return folders;
}

/// Threads of a step that are done wait a few microseconds and then sleep. By default they would
/// spin for milliseconds, which on a machine shared with others takes the core from the thread they
/// wait for. OpenMP reads this when it is loaded, so it is set before the other program starts.
void wait_politely() {
    // NOLINTBEGIN(concurrency-mt-unsafe): no thread runs yet.
    if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
        static_cast<void>(::setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0));
    }
    // NOLINTEND(concurrency-mt-unsafe)
}

}  // namespace

int hand_over(char** argv) {
    io::require_working_folder();  // LibTorch would end the process without a word of ours
    if (const std::string_view verb = argv[1];
        verb == "train" || verb == "restore" || verb == "dissect") {
        wait_politely();
    }
    std::vector<std::string> tried;
    for (const std::filesystem::path& folder : places()) {
        const std::string path = (folder / program).string();
        if (::access(path.c_str(), X_OK) != 0) {
            tried.push_back(folder.string());
            continue;
        }
        ::execv(path.c_str(), argv);
        throw io_error(format("starting {}", in_quotes(path)), errno);
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet.
    const char* how = std::getenv("ANAMNESIS_LIBEXEC_MISSING");
    throw Error(
        ErrorKind::not_found,
        format(
            "{} runs a model and needs {}, which is not in {}; {}",
            in_quotes(argv[1]),
            program,
            join(tried, ", "),
            how != nullptr ? how : "install the component runtime (README, \"Running models\")"));
}

}  // namespace anamnesis::app
