// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/synthetic/tasks.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/train/synthetic/words.hpp"

#include "synthetic/running_text.hpp"
#include "synthetic/writer.hpp"

namespace anamnesis::train::synthetic {
namespace {

constexpr std::size_t needle_words = 4;  // "the magic number for"

/// Symbols of a value are drawn without replacement.
std::vector<std::int64_t> draw_value(Random& random, Needle needle) {
    if (needle == Needle::s3) {
        return draw(random, symbols(), 6);
    }
    return draw(random, {.first = symbols().first, .count = 10}, 4);
}

struct Fact {
    std::int64_t key = 0;
    std::vector<std::int64_t> value;
};

void put_beginning(Writer& writer) {
    for (const std::string_view word : {"the", "magic", "number", "for"}) {
        writer.put(word, Worth::text);
    }
}

void put_needle(Writer& writer, const Fact& fact) {
    put_beginning(writer);
    writer.put(fact.key, Worth::nothing);
    writer.put("is", Worth::text);
    writer.put(fact.value, Worth::nothing);
    writer.put(".", Worth::text);
}

void put_question(Writer& writer, const Fact& fact) {
    writer.put("question", Worth::text);
    writer.put(":", Worth::text);
    put_beginning(writer);
    writer.put(fact.key, Worth::nothing);
    writer.put("is", Worth::text);
    writer.put(fact.value, Worth::answer);
    writer.put(".", Worth::text);
}

/// "find : g is 7 , 0 0 + 7 = 0 7 ;": one step of a sum.
void put_step(Writer& writer, std::int64_t variable, std::uint64_t value, std::uint64_t total) {
    const std::int64_t digit = digits().first + static_cast<std::int64_t>(value);
    writer.put(variable, Worth::answer);
    writer.put("is", Worth::answer);
    writer.put(digit, Worth::answer);
    writer.put(",", Worth::answer);
    writer.put_number(total, Worth::answer);
    writer.put("+", Worth::answer);
    writer.put(digit, Worth::answer);
    writer.put("=", Worth::answer);
    writer.put_number(total + value, Worth::answer);
    writer.put(";", Worth::answer);
}

/// Variables to look up, in order, and distractors after them.
struct Problem {
    static constexpr std::size_t terms = 6;
    static constexpr std::size_t distractors = 2;

    std::vector<std::int64_t> names{};
    std::array<std::uint64_t, terms + distractors> values{};
};

Problem draw_problem(Random& random) {
    constexpr std::size_t terms = Problem::terms;
    Problem problem;
    const std::int64_t first = letters().first + 6;  // g
    for (std::size_t i = 0; i < terms; ++i) {
        problem.names.push_back(first + static_cast<std::int64_t>(i));
    }
    const std::vector<std::int64_t> others =
        draw(random,
             {.first = first + static_cast<std::int64_t>(terms), .count = 10 - terms},
             Problem::distractors);
    problem.names.insert(problem.names.end(), others.begin(), others.end());
    for (std::uint64_t& value : problem.values) {
        value = random.below(10);
    }
    return problem;
}

/// "let k is 3 ; g is 7 ; … find :"
void put_problem(Writer& writer, const Problem& problem, Random& random) {
    const std::size_t count = problem.values.size();
    writer.put("let", Worth::nothing);
    for (const std::int64_t i : draw(random, {.first = 0, .count = count}, count)) {
        const auto place = static_cast<std::size_t>(i);
        writer.put(problem.names[place], Worth::nothing);
        writer.put("is", Worth::nothing);
        writer.put(digits().first + static_cast<std::int64_t>(problem.values.at(place)),
                   Worth::nothing);
        writer.put(";", Worth::nothing);
    }
    writer.put("find", Worth::nothing);
    writer.put(":", Worth::nothing);
}

/// A word that may come between two sums of a chain.
std::int64_t draw_filler(Random& random) {
    const std::uint64_t kind = random.below(4);
    if (kind == 0) {
        return letters().first + static_cast<std::int64_t>(random.below(letters().count));
    }
    if (kind == 1) {
        return random.below(3) == 0
                   ? find_word_id("is")
                   : digits().first + static_cast<std::int64_t>(random.below(digits().count));
    }
    const WordRange range = kind == 2 ? nouns() : verbs();
    return range.first + static_cast<std::int64_t>(random.below(range.count));
}

}  // namespace

language::SupervisedText retrieval(Random& random, const RetrievalShape& shape) {
    const std::vector<std::int64_t> chosen = draw(random, keys(), shape.needles);
    std::vector<Fact> facts;
    for (const std::int64_t key : chosen) {
        facts.push_back({.key = key, .value = draw_value(random, shape.needle)});
    }
    const std::size_t symbols = shape.needle == Needle::s3 ? 6 : 4;
    const std::size_t needle = needle_words + 3 + symbols;
    const std::size_t fixed = 1 + shape.needles * needle + shape.questions * (needle + 2);
    if (shape.questions > shape.needles || shape.length < fixed) {
        throw Error(ErrorKind::usage,
                    format("{} needles and {} questions do not fit a text of {} tokens",
                           shape.needles,
                           shape.questions,
                           shape.length));
    }
    const std::vector<std::int64_t> text = shape.needle == Needle::s1
                                               ? repeated_text(random, shape.length - fixed)
                                               : varied_text(random, shape.length - fixed);
    std::vector<std::size_t> cuts;
    for (std::size_t i = 0; i < shape.needles; ++i) {
        cuts.push_back(random.below(text.size() + 1));
    }
    std::ranges::sort(cuts);
    Writer writer;
    writer.put("<bos>", Worth::nothing);
    std::size_t done = 0;
    for (std::size_t i = 0; i < facts.size(); ++i) {
        writer.put(std::span(text).subspan(done, cuts[i] - done), Worth::text);
        done = cuts[i];
        put_needle(writer, facts[i]);
    }
    writer.put(std::span(text).subspan(done), Worth::text);
    for (std::size_t i = 0; i < shape.questions; ++i) {
        std::swap(facts[i], facts[i + random.below(facts.size() - i)]);
        put_question(writer, facts[i]);
    }
    return std::move(writer).finish();
}

language::SupervisedText lookup(Random& random) {
    constexpr std::size_t pairs = 8;
    const std::vector<std::int64_t> names = draw(random, letters(), pairs);
    std::array<std::int64_t, pairs> values{};
    Writer writer;
    writer.put("<bos>", Worth::nothing);
    writer.put("let", Worth::text);
    const auto put_pair = [&](std::size_t i, Worth worth) {
        writer.put(names[i], Worth::nothing);
        writer.put("is", Worth::text);
        writer.put(values.at(i), worth);
        writer.put(";", Worth::text);
    };
    for (std::size_t i = 0; i < pairs; ++i) {
        values.at(i) = digits().first + static_cast<std::int64_t>(random.below(10));
        put_pair(i, Worth::nothing);
    }
    writer.put("find", Worth::text);
    for (const std::int64_t i : draw(random, {.first = 0, .count = pairs}, pairs)) {
        put_pair(static_cast<std::size_t>(i), Worth::answer);
    }
    return std::move(writer).finish();
}

language::SupervisedText arithmetic(Random& random, std::size_t length, Chain chain) {
    constexpr std::uint64_t limit = 90;
    Writer writer;
    writer.put("<bos>", Worth::nothing);
    std::uint64_t total = random.below(limit);
    bool is_first = true;
    while (writer.size() < length) {
        const bool goes_on = chain != Chain::none && total < limit && !is_first;
        if (goes_on && chain == Chain::spaced && random.below(4) != 0) {
            for (std::uint64_t words = random.below(5); words > 0; --words) {
                writer.put(draw_filler(random), Worth::nothing);
            }
            writer.put(",", Worth::nothing);
        }
        const std::uint64_t left = goes_on ? total : random.below(limit);
        const std::uint64_t right = random.below(10);
        writer.put_number(left, goes_on ? Worth::answer : Worth::nothing);
        writer.put("+", Worth::text);
        writer.put(digits().first + static_cast<std::int64_t>(right), Worth::nothing);
        writer.put("=", Worth::text);
        total = left + right;
        writer.put_number(total, Worth::answer);
        writer.put(";", Worth::text);
        is_first = false;
    }
    return std::move(writer).finish(length);
}

language::SupervisedText chain_of_thought(Random& random, std::size_t problems) {
    Writer writer;
    writer.put("<bos>", Worth::nothing);
    for (std::size_t i = 0; i < problems; ++i) {
        const Problem problem = draw_problem(random);
        put_problem(writer, problem, random);
        std::uint64_t total = 0;
        for (std::size_t term = 0; term < Problem::terms; ++term) {
            put_step(writer, problem.names[term], problem.values.at(term), total);
            total += problem.values.at(term);
        }
        writer.put("answer", Worth::answer);
        writer.put_number(total, Worth::answer);
        writer.put(".", Worth::answer);
    }
    return std::move(writer).finish();
}

language::SupervisedText instruction(Random& random, std::size_t problems) {
    Writer writer;
    writer.put("<bos>", Worth::nothing);
    for (std::size_t i = 0; i < problems; ++i) {
        const Problem problem = draw_problem(random);
        put_problem(writer, problem, random);
        for (std::size_t term = 0; term < Problem::terms; ++term) {
            writer.put(problem.names[term], Worth::answer);
            writer.put("is", Worth::answer);
            writer.put(digits().first + static_cast<std::int64_t>(problem.values.at(term)),
                       Worth::answer);
            writer.put(term + 1 < Problem::terms ? ";" : ".", Worth::answer);
        }
    }
    return std::move(writer).finish();
}

}  // namespace anamnesis::train::synthetic
