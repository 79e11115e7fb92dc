// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <variant>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace {

using namespace anamnesis;

template <class Options>
bool is_quiet(const Options& options) {
    if constexpr (std::is_same_v<Options, app::PrintText>) {
        return false;
    } else {
        // With --json standard output holds the JSON alone.
        return options.common.quiet || options.common.json;
    }
}

int run_command(int argc, char** argv) {
    const app::Invocation invocation = app::parse_command_line(argc, argv);
    return std::visit(
        [](const auto& options) {
            app::Terminal terminal(is_quiet(options));
            return app::run(options, terminal);
        },
        invocation);
}

void complain(const std::string& text) {
    // Where stderr is gone there is nowhere left to complain to.
    static_cast<void>(std::fprintf(stderr, "anamnesis: %s\n", text.c_str()));
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const int code = run_command(argc, argv);
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
