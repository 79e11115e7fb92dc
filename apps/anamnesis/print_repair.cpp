// SPDX-License-Identifier: Apache-2.0
#include "print_repair.hpp"

#include <chrono>
#include <string>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/result_text.hpp"

#include "options/common.hpp"
#include "terminal.hpp"

namespace anamnesis::app {

void print_results(const std::vector<restore::Result>& results,
                   const std::vector<checkpoint::Finding>& findings,
                   const CommonOptions& options,
                   std::chrono::steady_clock::time_point start,
                   Terminal& terminal) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.json) {
        terminal.result(restore::to_json(results, findings, seconds).dump(2) + "\n");
        return;
    }
    for (const restore::Result& result : results) {
        if (!terminal.is_quiet()) {
            terminal.result(restore::make_drift_table(result));
        }
        for (const std::string& warning : restore::list_warnings(result)) {
            terminal.warn(warning);
        }
        for (const std::string& note : result.notes) {
            terminal.say(format("note: {}", note));
        }
        terminal.say(restore::describe_result(result, seconds));
    }
}

}  // namespace anamnesis::app
