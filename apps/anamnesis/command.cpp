// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "options.hpp"

namespace anamnesis::app {
namespace {

void complain(const std::string& text) {
    // Where stderr is gone there is nowhere left to complain to.
    static_cast<void>(std::fprintf(stderr, "anamnesis: %s\n", text.c_str()));
}

}  // namespace

int run_command(int argc, char** argv, const Dispatch& dispatch) noexcept {
    try {
        const int code = dispatch(parse_command_line(argc, argv));
        // A write that failed earlier leaves its mark in the stream, and nothing to flush.
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
            complain("io: writing to standard output failed");
            return exit_code_of(ErrorKind::io);
        }
        return code;
    } catch (const Error& error) {
        complain(format("{}: {}", name_of(error.kind()), error.what()));
        return exit_code_of(error.kind());
    } catch (const std::bad_alloc&) {
        complain("exhausted: out of memory");
        return exit_code_of(ErrorKind::exhausted);
    } catch (const std::exception& error) {
        complain(format("internal: {}", error.what()));
        return exit_code_of(ErrorKind::internal);
    }
}

}  // namespace anamnesis::app
