// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/essay_corpus.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/unicode.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/utf8.hpp"

#include "ruler/punkt.hpp"
#include "ruler_data.hpp"

namespace anamnesis::eval {
namespace {

/// `re.sub(r"\s+", " ", text).split(" ")`
std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> words(1);
    bool is_in_space = false;
    for (std::size_t at = 0; at < text.size();) {
        const auto step = language::read_utf8(text, at);
        const bool is_space = is_python_space(step.code);
        if (is_space && !is_in_space) {
            words.emplace_back();
        } else if (!is_space) {
            language::append_utf8(words.back(), step.code);
        }
        is_in_space = is_space;
        at += step.length;
    }
    return words;
}

std::string parse_essay(const std::string& file, const std::string& path) {
    const auto begin = file.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos || file[begin] != '{') {
        return file;
    }
    const Json document = Json::parse(file);
    if (const Json* text = document.find("text")) {
        return text->as_string("'text'");
    }
    throw Error(ErrorKind::malformed,
                format("{} is JSON without a member 'text'; expected a text file or "
                       "{{\"text\": \"…\"}}",
                       in_quotes(path)));
}

}  // namespace

EssayCorpus EssayCorpus::built_in(const TokenCounter& counter) {
    return {embedded::haystack_kjv(), "built-in (King James Version)", counter};
}

EssayCorpus EssayCorpus::open(const std::filesystem::path& path, const TokenCounter& counter) {
    return in_context([&] { return format("reading the essays {}", in_quotes(path.string())); },
                      [&] {
                          const std::string text =
                              parse_essay(io::read_text(path, 1U << 30U), path.string());
                          return EssayCorpus(text, path.string(), counter);
                      });
}

EssayCorpus::EssayCorpus(std::string_view text, std::string name, const TokenCounter& counter)
    : name_(std::move(name)),
      digest_(compute_sha256(text)),
      counter_(counter),
      words_(split_words(text)) {
    if (std::ranges::all_of(words_, &std::string::empty)) {
        throw Error(ErrorKind::malformed, format("no words in the essays {}", in_quotes(name_)));
    }
}

void EssayCorpus::extend(std::size_t words) {
    // Doubled, so that a search that grows does this a few times only.
    const std::size_t wanted = std::max(words, 2 * word_ends_.size());
    word_ends_.clear();
    sentence_begins_.clear();
    joined_begins_.clear();
    std::string text;
    for (std::size_t i = 0; i < wanted; ++i) {
        text += i == 0 ? "" : " ";
        text += words_[i % words_.size()];
        word_ends_.push_back(static_cast<std::uint32_t>(text.size()));
    }
    std::u32string characters;
    std::vector<std::uint32_t> places;  // bytes of each character
    for (std::size_t at = 0; at < text.size();) {
        places.push_back(static_cast<std::uint32_t>(at));
        characters += language::next_character(text, at);
    }
    places.push_back(static_cast<std::uint32_t>(text.size()));
    std::string joined;
    for (const Punkt::Span& span : Punkt::english().sentences(characters)) {
        joined += joined.empty() ? "" : " ";
        sentence_begins_.push_back(places[span.begin]);
        joined_begins_.push_back(static_cast<std::uint32_t>(joined.size()));
        joined += text.substr(places[span.begin], places[span.end] - places[span.begin]);
    }
    joined_.push_back(std::make_unique<const CountedText>(std::move(joined), counter_));
}

EssayCorpus::Cut EssayCorpus::cut(std::size_t words) {
    if (words == 0) {
        return {};
    }
    if (words > word_ends_.size()) {
        extend(words);
    }
    const std::uint32_t end = word_ends_[words - 1];
    const auto sentences = static_cast<std::size_t>(
        std::ranges::lower_bound(sentence_begins_, end) - sentence_begins_.begin());
    if (sentences == 0) {
        return {};
    }
    const std::uint32_t within = end - sentence_begins_[sentences - 1];
    const std::size_t full_end = sentences < joined_begins_.size() ? joined_begins_[sentences] - 1
                                                                   : joined_.back()->text().size();
    return {.sentences = sentences,
            .bytes = std::min<std::size_t>(joined_begins_[sentences - 1] + within, full_end)};
}

PromptPart EssayCorpus::part(const Cut& cut, std::size_t begin, std::size_t end) const {
    if (begin == end) {
        return {};
    }
    const CountedText* whole = joined_.back().get();
    const std::size_t first = joined_begins_[begin];
    const std::size_t last = end == cut.sentences ? cut.bytes : joined_begins_[end] - 1;
    return {.text = whole->text().substr(first, last - first), .whole = whole};
}

}  // namespace anamnesis::eval
