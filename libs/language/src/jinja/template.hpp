// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "interpreter.hpp"
#include "symbols.hpp"
#include "syntax.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {

/// A template of the language that checkpoints ship, read once and run often: Jinja 3.1 in the
/// sandbox of transformers. What is not understood is refused when it is read.
///
/// Threads: const functions may run at once.
class Template {
public:
    /// Errors: `malformed` or `unsupported`, with the line.
    explicit Template(std::string_view source);

    /// Errors: those of `Interpreter::run`.
    std::string render(const Dict& variables,
                       const std::function<std::tm()>& now,
                       const Limits& limits = {}) const;

private:
    std::shared_ptr<const Body> body_;
    std::shared_ptr<const HiddenNames> hidden_;
};

}  // namespace anamnesis::language::jinja
