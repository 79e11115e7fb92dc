// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/words.hpp"

namespace anamnesis::checkpoint {

/// How much a finding matters.
enum class Severity : std::uint8_t {
    note,     ///< good to know; nothing is wrong
    warning,  ///< odd: a loader or a result may be wrong
    error,    ///< a loader refuses this checkpoint, or fills what is missing with random values
};
inline constexpr std::array<Word<Severity>, 3> severity_words{{
    {Severity::note, "note"},
    {Severity::warning, "warning"},
    {Severity::error, "error"},
}};
std::string_view to_string(Severity severity) noexcept;

/// Something about a checkpoint, or about a pair of them, that a user should know. There is one
/// finding of a kind, with a count, however many tensors it concerns.
struct Finding {
    std::string code;  ///< "missing_tensors": the same in every version of the program
    Severity severity = Severity::warning;
    std::string sentence;
    std::string remedy{};                 ///< what to do; empty where there is nothing to do
    std::uint64_t count = 1;              ///< tensors, files or settings that it concerns
    std::vector<std::string> examples{};  ///< names of tensors or files, at most three
    std::string where{};  ///< "pre", "post", "repaired" or "pair"; empty: the only checkpoint
};

/// At most so many names are listed of those that a finding concerns.
inline constexpr std::size_t most_examples = 3;

/// "'a'", "'a', 'b'", "'a', 'b', 'c' and 5 more"
std::string list_examples(const std::vector<std::string>& names);

/// A finding about `names`, of which the first are its examples.
Finding make_finding(std::string code,
                     Severity severity,
                     const std::vector<std::string>& names,
                     std::string sentence,
                     std::string remedy = {});

/// The sentence and, where there is one, the remedy.
std::string describe(const Finding& finding);

/// The sentences alone, in order.
std::vector<std::string> list_sentences(const std::vector<Finding>& findings);

/// As `--json` and receipts have it (docs/json.md).
Json to_json(const std::vector<Finding>& findings);

/// True where some finding is a warning or an error.
bool has_warnings(const std::vector<Finding>& findings) noexcept;

/// What `--strict` does.
/// Errors: `mismatch` where some finding is a warning or an error, naming the first three.
void refuse_warnings(const std::vector<Finding>& findings);

/// Adds findings of a checkpoint in the role `where`.
void append_findings(std::vector<Finding>& target,
                     const std::vector<Finding>& findings,
                     std::string_view where);

}  // namespace anamnesis::checkpoint
