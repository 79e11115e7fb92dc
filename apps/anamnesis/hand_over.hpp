// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace anamnesis::app {

/// Becomes the program that links LibTorch, with the same arguments, terminal and exit code. It is
/// looked for in $ANAMNESIS_LIBEXEC, in ../libexec/anamnesis beside this program's folder, and in
/// this program's own folder (a build tree).
/// Errors: `not_found`, saying how to install it; $ANAMNESIS_LIBEXEC_MISSING says it in its own
/// words (the package of Python, which knows what pip has installed).
int hand_over(char** argv);

}  // namespace anamnesis::app
