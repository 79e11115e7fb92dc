// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/version.hpp"
#include "anamnesis/base/watch.hpp"

#include "help_format.hpp"
#include "interrupt.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "parse_error.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 done, 1 the answer is no, 2 usage, 3 not found, 4 malformed file,\n"
    "5 unsupported, 6 inputs do not fit, 7 input/output, 8 no space, 9 not a number,\n"
    "70 a bug, 130 interrupted.";

/// In the order of `VerbGroup`.
constexpr std::array headings{"Checkpoint files", "Models", "Evaluation", "Research"};

const Verb* find_verb(std::string_view name) {
    const auto verbs = list_verbs();
    const auto found = std::ranges::find(verbs, name, &Verb::name);
    return found == verbs.end() ? nullptr : &*found;
}

/// The command with all its verbs; only the one that is called has options.
class CommandLine {
public:
    CommandLine()
        : app_("Diagnose and repair attention amnesia in hybrid language models.", "anamnesis") {
        app_.set_version_flag("--version", format("anamnesis {} ({})", version(), commit()));
        app_.get_option("--help")->description("Print this text.");
        app_.get_option("--version")->description("Print the version.");
        app_.footer(exit_codes);
        app_.require_subcommand(1);
        app_.option_defaults()->always_capture_default();
        app_.formatter(std::make_shared<HelpFormat>(16));
    }

    /// The text that was asked for with --help or --version; nothing where a verb is to be run.
    /// Errors: `usage`.
    std::optional<std::string> parse(int argc, const char* const* argv) {
        for (const Verb& verb : list_verbs()) {
            CLI::App* app =
                app_.add_subcommand(std::string(verb.name), std::string(verb.description));
            app->group(headings.at(static_cast<std::size_t>(verb.group)));
            app->formatter(std::make_shared<HelpFormat>(34));
            if (argc > 1 && verb.name == argv[1] && verb.add != nullptr) {
                action_ = verb.add(*app);
                refuse_empty_values(*app,
                                    std::span(argv, static_cast<std::size_t>(argc)).subspan(2));
            }
        }
        try {
            app_.parse(argc, argv);
        } catch (const CLI::CallForHelp&) {
            return app_.help();
        } catch (const CLI::CallForVersion&) {
            return app_.version() + "\n";
        } catch (const CLI::ParseError& error) {
            throw Error(ErrorKind::usage, describe_parse_error(app_, error));
        }
        if (!action_.run) {
            throw Error(ErrorKind::usage, "the verb must come first (see 'anamnesis --help')");
        }
        return std::nullopt;
    }

    const Action& action() const { return action_; }

private:
    CLI::App app_;
    Action action_;
};

void print_error(const std::string& text) {
    // Where standard error is gone there is no place left to report that.
    static_cast<void>(std::fprintf(stderr, "anamnesis: %s\n", text.c_str()));
}

}  // namespace

int run_command(int argc, char** argv, const HandOver& hand_over) {
    const Verb* verb = argc > 1 ? find_verb(argv[1]) : nullptr;
    if (hand_over && verb != nullptr && verb->add == nullptr) {
        return hand_over(argv);
    }
    CommandLine command_line;
    if (const auto text = command_line.parse(argc, argv)) {
        Terminal(/*is_quiet=*/false).result(*text);
        return 0;
    }
    const Action& action = command_line.action();
    if (hand_over && action.needs_model()) {
        return hand_over(argv);
    }
    // With --json standard output holds the JSON alone.
    Terminal terminal(action.common->quiet || action.common->json);
    ProgressBar progress(terminal.is_quiet());
    std::optional<StopSignals> signals;
    if (action.is_stoppable) {
        signals.emplace();
    }
    const Watch watch(
        progress,
        signals ? signals->token() : std::stop_token(),
        [&terminal](std::string_view line) { terminal.say(line); },
        [&terminal](std::string_view line) { terminal.warn(line); });
    return action.run(terminal, watch);
}

int run_verb(const std::vector<std::string>& words, Terminal& terminal, const Watch& watch) {
    std::vector<const char*> argv{"anamnesis"};
    for (const std::string& word : words) {
        argv.push_back(word.c_str());
    }
    CommandLine command_line;
    if (const auto text = command_line.parse(static_cast<int>(argv.size()), argv.data())) {
        terminal.result(*text);
        return 0;
    }
    return command_line.action().run(terminal, watch);
}

int report_errors(const std::function<int()>& run) noexcept {
    // Past a limit on the size of files a write then fails with EFBIG, like any other, instead of
    // ending the process with its output half made.
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        const int code = run();
        // A write that failed earlier leaves its mark in the stream, and nothing to flush.
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
            print_error("io: writing to standard output failed");
            return to_exit_code(ErrorKind::io);
        }
        return code;
    } catch (const Error& error) {
        print_error(format("{}: {}", to_string(error.kind()), error.what()));
        return to_exit_code(error.kind());
    } catch (const std::bad_alloc&) {
        print_error("exhausted: out of memory");
        return to_exit_code(ErrorKind::exhausted);
    } catch (const std::exception& error) {
        print_error(format("internal: {}", error.what()));
        return to_exit_code(ErrorKind::internal);
    }
}

}  // namespace anamnesis::app
