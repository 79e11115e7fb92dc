// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"

namespace anamnesis::language {

/// Texts, ids and chats, to see what a model reads.
struct TokenizeJob {
    std::filesystem::path tokenizer{};  ///< a checkpoint, or the folder or file of a tokenizer
    std::filesystem::path in{};         ///< JSON lines; "-" is standard input
    std::filesystem::path out{};        ///< JSON lines, one for every line of `in`
};

struct TokenizeSummary {
    std::uint64_t lines = 0;
    std::uint64_t tokens = 0;
    std::uint64_t refused = 0;   ///< chats that the template refuses
    Json notes = Json::array();  ///< of the tokenizer, as strings; also warned of
};

/// `ids` and `pieces` (as the vocabulary spells them) of a text.
/// Errors: those of `Tokenizer::open`.
Json tokenize_text(const std::filesystem::path& tokenizer,
                   std::string_view text,
                   const Watch& watch);

/// What `tokenize_text` gave as a terminal shows it: id and piece, a token a line.
std::string list_tokens(const Json& tokens);

/// A line with `text` (and `add_special`) gets `ids` and `pieces`; one with `ids` (and
/// `skip_special`) gets `text`; one with `messages` gets the rendered `text` and its `ids`, where
/// every further member is a variable of the template, or `error` where the template itself
/// refuses. Other members are carried along. The output appears whole or not at all. Errors: those
/// of `Tokenizer::open` and `ChatTemplate::open`; `malformed`, naming the line, also for an id that
///         no token has;
///         `unsupported` for what a template needs and is not known; `usage` where the output
///         would replace an input; `cancelled` after a stop.
TokenizeSummary tokenize_lines(const TokenizeJob& job, const Watch& watch);

std::string to_text(const TokenizeSummary& summary);

/// As docs/json.md gives it.
Json to_json(const TokenizeJob& job, const TokenizeSummary& summary);

}  // namespace anamnesis::language
