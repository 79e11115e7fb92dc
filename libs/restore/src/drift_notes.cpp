// SPDX-License-Identifier: Apache-2.0
#include "drift_notes.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

namespace anamnesis::restore {
namespace {

/// "model.layers.0-3.mlp.experts.0-7.gate_proj.weight" of names that differ by numbers alone.
std::string join_names(const std::vector<std::string>& names) {
    std::vector<std::vector<std::string>> columns;
    for (const std::string& name : names) {
        const auto parts = split(name, '.');
        columns.resize(parts.size());
        for (std::size_t i = 0; i < parts.size(); ++i) {
            columns[i].push_back(parts[i]);
        }
    }
    std::vector<std::string> joined;
    for (std::vector<std::string>& column : columns) {
        std::vector<std::uint32_t> numbers;
        for (const std::string& part : column) {
            std::uint32_t number = 0;
            const auto [end, error] =
                std::from_chars(part.data(), part.data() + part.size(), number);
            if (error == std::errc{} && end == part.data() + part.size()) {
                numbers.push_back(number);
            }
        }
        std::ranges::sort(numbers);
        const auto repeated = std::ranges::unique(numbers);
        numbers.erase(repeated.begin(), repeated.end());
        joined.push_back(numbers.empty() ? column.front() : compact_list(numbers));
    }
    return join(joined, ".");
}

}  // namespace

std::vector<std::string> join_notes(const std::vector<checkpoint::TensorEntry>& tensors,
                                    const std::vector<NotMeasured>& notes) {
    std::map<std::pair<NotMeasured::Reason, std::string>, std::vector<std::string>> groups;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const NotMeasured& note = notes[i];
        if (note.reason == NotMeasured::Reason::none) {
            continue;
        }
        // Tensors without values or without counterpart are told by reason; shapes one by one.
        std::string key = note.text;
        if (note.reason == NotMeasured::Reason::no_counterpart) {
            for (const std::string& part : split(tensors[i].name, '.')) {
                const bool is_number =
                    !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
                key += "." + (is_number ? "#" : part);
            }
        }
        groups[{note.reason, key}].push_back(tensors[i].name);
    }
    std::vector<std::string> joined;
    for (const auto& [key, names] : groups) {
        const std::string text =
            key.first == NotMeasured::Reason::no_counterpart ? "no counterpart in pre" : key.second;
        if (names.size() == 1) {
            joined.push_back(
                format("tensor {} {}",
                       in_quotes(names.front()),
                       key.first == NotMeasured::Reason::no_counterpart ? "has " + text : text));
        } else if (key.first == NotMeasured::Reason::no_counterpart) {
            joined.push_back(
                format("{} tensors have {}: {}", names.size(), text, in_quotes(join_names(names))));
        } else {
            joined.push_back(format("{} tensors were not measured, such as {}: each {}",
                                    names.size(),
                                    checkpoint::list_examples({names.front()}),
                                    text));
        }
    }
    return joined;
}

}  // namespace anamnesis::restore
