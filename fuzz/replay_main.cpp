// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target once over every file in the folders given: the ordinary build's stand-in for
// libFuzzer, so that every compiler and sanitizer meets the corpus and all past crashes.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <vector>

#include "fuzz_target.hpp"

namespace {

std::size_t replay(const std::filesystem::path& folder) {
    std::size_t count = 0;
    if (!std::filesystem::is_directory(folder)) {
        return count;
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream stream(entry.path(), std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
        // Printed before the run: an abort leaves no other trace of its cause.
        static_cast<void>(std::printf("%s\n", entry.path().c_str()));
        static_cast<void>(std::fflush(stdout));
        // An exact copy on the heap lets the address sanitizer see one byte too far.
        const std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
        LLVMFuzzerTestOneInput(copy.data(), copy.size());
        ++count;
    }
    return count;
}

}  // namespace

int main(int argument_count, char** arguments) {
    try {
        static_cast<void>(LLVMFuzzerTestOneInput(nullptr, 0));
        std::size_t count = 0;
        for (int i = 1; i < argument_count; ++i) {
            count += replay(arguments[i]);
        }
        static_cast<void>(std::printf("%zu inputs\n", count));
        return count == 0 ? 1 : 0;
    } catch (const std::exception& error) {
        static_cast<void>(std::fprintf(stderr, "unexpected exception: %s\n", error.what()));
        return 1;
    }
}
