// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

int run(const PrintText& request, Terminal& terminal) {
    terminal.result(request.text);
    return 0;
}

}  // namespace anamnesis::app
