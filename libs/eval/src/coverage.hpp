// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/eval/reason_findings.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// Questions of a run's plan that have fewer answers than they should.
struct Gap {
    std::string checkpoint{};
    std::string what{};  ///< "niah_single_2 at 4K"
    std::size_t answered = 0;
    std::uint64_t planned = 0;
};

/// What a run did not ask.
struct Coverage {
    std::vector<Gap> gaps{};
    std::vector<std::string> left_out{};  ///< tasks that no prompt of a length can be made for
    std::string beyond{};                 ///< what the benchmark has and the plan has not
};

/// Each folder of a joint report is held against its own plan and no other's. A run on prompts of a
/// file has no plan: nothing is missing from it.
Coverage find_coverage(const NiahFindings& findings);
Coverage find_coverage(const ReasonFindings& findings);

/// Of the gaps.
Json gaps_json(const Coverage& coverage);
/// A line for each gap and each task that was left out.
std::string coverage_text(const Coverage& coverage);
void add_coverage(report::Document& document, const Coverage& coverage);

}  // namespace anamnesis::eval
