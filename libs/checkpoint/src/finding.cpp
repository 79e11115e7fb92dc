// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/finding.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"

namespace anamnesis::checkpoint {

std::string_view to_string(Severity severity) noexcept {
    return find_word(severity_words, severity);
}

std::string list_examples(const std::vector<std::string>& names) {
    std::vector<std::string> quoted;
    for (std::size_t i = 0; i < std::min(names.size(), most_examples); ++i) {
        quoted.push_back(in_quotes(names[i]));
    }
    std::string text = join(quoted, ", ");
    if (names.size() > most_examples) {
        text += format(" and {} more", names.size() - most_examples);
    }
    return text;
}

Finding make_finding(std::string code,
                     Severity severity,
                     const std::vector<std::string>& names,
                     std::string sentence,
                     std::string remedy) {
    const auto shown = static_cast<std::ptrdiff_t>(std::min(names.size(), most_examples));
    return {.code = std::move(code),
            .severity = severity,
            .sentence = std::move(sentence),
            .remedy = std::move(remedy),
            .count = std::max<std::uint64_t>(1, names.size()),
            .examples = {names.begin(), names.begin() + shown}};
}

std::string describe(const Finding& finding) {
    return finding.remedy.empty() ? finding.sentence
                                  : format("{}; {}", finding.sentence, finding.remedy);
}

std::vector<std::string> list_sentences(const std::vector<Finding>& findings) {
    std::vector<std::string> sentences;
    sentences.reserve(findings.size());
    for (const Finding& finding : findings) {
        sentences.push_back(finding.sentence);
    }
    return sentences;
}

Json to_json(const std::vector<Finding>& findings) {
    Json list = Json::array();
    for (const Finding& finding : findings) {
        Json examples = Json::array();
        for (const std::string& example : finding.examples) {
            examples.push_back(example);
        }
        list.push_back(Json::Object{{"code", finding.code},
                                    {"severity", to_string(finding.severity)},
                                    {"where", finding.where},
                                    {"count", finding.count},
                                    {"examples", std::move(examples)},
                                    {"sentence", finding.sentence},
                                    {"remedy", finding.remedy}});
    }
    return list;
}

bool has_warnings(const std::vector<Finding>& findings) noexcept {
    return std::ranges::any_of(
        findings, [](const Finding& finding) { return finding.severity != Severity::note; });
}

void refuse_warnings(const std::vector<Finding>& findings) {
    std::vector<std::string> lines;
    for (const Finding& finding : findings) {
        if (finding.severity != Severity::note) {
            lines.push_back(finding.where.empty()
                                ? finding.sentence
                                : format("{}: {}", finding.where, finding.sentence));
        }
    }
    if (lines.empty()) {
        return;
    }
    const std::size_t count = lines.size();
    lines.resize(std::min(count, most_examples));
    throw Error(ErrorKind::mismatch,
                format("--strict takes {} warning{} as a refusal: {}{}",
                       count,
                       count == 1 ? "" : "s",
                       join(lines, "; "),
                       count > most_examples ? format("; and {} more", count - most_examples)
                                             : std::string()));
}

void append_findings(std::vector<Finding>& target,
                     const std::vector<Finding>& findings,
                     std::string_view where) {
    for (const Finding& finding : findings) {
        target.push_back(finding);
        target.back().where = where;
    }
}

}  // namespace anamnesis::checkpoint
