// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/example.hpp"

#include <filesystem>

#include "anamnesis/base/text.hpp"

#include "options.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

int run(const ExampleOptions& options, Terminal& terminal) {
    const std::filesystem::path folder(options.folder);
    restore::write_example_pair(folder);
    terminal.say(
        format("{0}/pre and {0}/post: a HypeNet-shaped pair with random weights; post is "
               "pre moved by 5 %, W_Q and W_K of layers 2 and 5 by 30 %",
               folder.string()));
    return 0;
}

}  // namespace anamnesis::app
