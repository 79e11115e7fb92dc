// SPDX-License-Identifier: Apache-2.0
#include "print_findings.hpp"

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::app {

Json add_findings(Json json, const std::vector<checkpoint::Finding>& findings) {
    json.set("findings", checkpoint::to_json(findings));
    return json;
}

void report_findings(const std::vector<checkpoint::Finding>& findings,
                     const ReadingOptions& options,
                     const Terminal& terminal) {
    for (const checkpoint::Finding& finding : findings) {
        const std::string line = finding.where.empty()
                                     ? describe(finding)
                                     : format("{}: {}", finding.where, describe(finding));
        if (finding.severity == checkpoint::Severity::note) {
            terminal.say(format("note: {}", line));
        } else {
            terminal.warn(line, to_string(finding.severity));
        }
    }
    if (options.is_strict) {
        refuse_warnings(findings);
    }
}

}  // namespace anamnesis::app
