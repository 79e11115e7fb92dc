// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "anamnesis/base/watch.hpp"

#include "options/common.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

/// What a verb does once its options are read.
struct Action {
    /// Runs to an exit code: 0 done, 1 the answer is no. Failures are Errors.
    std::function<int(Terminal&, const Watch&)> run{};
    /// Whether the verb looks at the stop of its Watch. Signals end one that does not at once.
    bool is_stoppable = false;
    const CommonOptions* common = nullptr;  ///< within what `run` owns
    /// Whether what was asked for runs a model in this process.
    std::function<bool()> needs_model = [] { return false; };
};

/// Declares the options of a verb, which the action then owns. `run` takes them, the Terminal and,
/// where its work is long, a Watch.
template <class Options, class Run>
Action make_action(CLI::App& app, void (*declare)(CLI::App&, Options&), Run run) {
    constexpr bool is_stoppable = std::is_invocable_v<Run, const Options&, Terminal&, const Watch&>;
    const auto options = std::make_shared<Options>();
    declare(app, *options);
    declare_common(app, options->common);
    Action action{.run =
                      [options, run](Terminal& terminal, const Watch& watch) {
                          if constexpr (is_stoppable) {
                              return run(*options, terminal, watch);
                          } else {
                              return run(*options, terminal);
                          }
                      },
                  .is_stoppable = is_stoppable,
                  .common = &options->common};
    if constexpr (requires { options->needs_model(); }) {
        action.needs_model = [options] { return options->needs_model(); };
    } else if constexpr (requires { options->asking.needs_model(); }) {
        action.needs_model = [options] { return options->asking.needs_model(); };
    }
    return action;
}

/// The groups of `anamnesis --help`.
enum class VerbGroup : std::uint8_t { files, models, evaluation, research };

struct Verb {
    std::string_view name;
    VerbGroup group = VerbGroup::files;
    std::string_view description;
    Action (*add)(CLI::App&) = nullptr;  ///< null where the program with LibTorch runs it
};

/// All verbs in the order of --help. Each program has its own list.
std::span<const Verb> list_verbs() noexcept;

// NOLINTBEGIN(bugprone-macro-parentheses): the name is pasted
#define ANAMNESIS_VERB(name, group, description) Action add_##name(CLI::App& app);
#define ANAMNESIS_MODEL_VERB(name, group, description) Action add_##name(CLI::App& app);
#include "verbs.def"
#undef ANAMNESIS_VERB
#undef ANAMNESIS_MODEL_VERB
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace anamnesis::app
