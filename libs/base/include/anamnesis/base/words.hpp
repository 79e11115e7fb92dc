// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"

namespace anamnesis {

/// One value of an enum and the word for it. The room that owns the enum has one table of these,
/// which the command line, JSON and receipts share.
template <class Enum>
struct Word {
    Enum value;
    std::string_view word;
};

/// The word for a value; "?" for one that the table does not have.
template <class Table, class Enum>
constexpr std::string_view find_word(const Table& table, Enum value) noexcept {
    for (const auto& entry : table) {
        if (entry.value == value) {
            return entry.word;
        }
    }
    return "?";
}

/// The value that a word stands for, if the table has it.
template <class Table>
constexpr auto find_value(const Table& table, std::string_view word) noexcept
    -> std::optional<decltype(std::span(table).front().value)> {
    for (const auto& entry : table) {
        if (entry.word == word) {
            return entry.value;
        }
    }
    return std::nullopt;
}

template <class Table>
std::vector<std::string> list_words(const Table& table) {
    std::vector<std::string> words;
    for (const auto& entry : table) {
        words.emplace_back(entry.word);
    }
    return words;
}

/// Errors: of `kind`, naming the word and all that are known.
[[noreturn]] void refuse_word(ErrorKind kind,
                              std::string_view what,
                              std::string_view word,
                              std::span<const std::string> known);

/// The value that a word stands for. `what` begins the error: "method".
/// Errors: of `kind` for a word that the table does not have, listing those it has.
template <class Table>
auto parse_word(const Table& table,
                std::string_view word,
                std::string_view what,
                ErrorKind kind = ErrorKind::usage) {
    const auto value = find_value(table, word);
    if (!value) {
        refuse_word(kind, what, word, list_words(table));
    }
    return *value;
}

}  // namespace anamnesis
