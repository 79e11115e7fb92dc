// SPDX-License-Identifier: Apache-2.0
#include "ruler/niah_draft.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view noise_line =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// round(linspace(0, 100, 40)), percent
constexpr std::array<std::uint32_t, 40> ruler_depths{
    0,  3,  5,  8,  10, 13, 15, 18, 21, 23, 26, 28, 31, 33, 36, 38, 41, 44, 46, 49,
    51, 54, 56, 59, 62, 64, 67, 69, 72, 74, 77, 79, 82, 85, 87, 90, 92, 95, 97, 100};

std::string needle_sentence(NeedleKind kind, std::string_view key, std::string_view value) {
    return format("One of the special magic {} for {} is: {}.", name_of(kind), key, value);
}

}  // namespace

std::string NiahGenerator::random_value(NeedleKind kind) {
    switch (kind) {
        case NeedleKind::words:
            return materials_.words.at(random_.below(materials_.words.size()));
        case NeedleKind::numbers:
            return std::to_string(random_.integer(1'000'000, 9'999'999));
        case NeedleKind::uuids:
            return random_.uuid4();
    }
    return {};
}

void NiahGenerator::draw_needles(Draft& draft) {
    const NiahTask& task = options_.task;
    for (std::size_t k = 0; k < task.keys; ++k) {
        draft.keys.push_back(random_value(task.key_kind));
        draft.values.emplace_back();
        for (std::size_t v = 0; v < task.values; ++v) {
            draft.values.back().push_back(random_value(task.value_kind));
            draft.needles.push_back(
                needle_sentence(task.value_kind, draft.keys.back(), draft.values.back().back()));
        }
    }
    // A generator of its own, new for every sample: the order is the same in all.
    PythonRandom(options_.seed).shuffle(draft.needles);
}

void NiahGenerator::draw_question(Draft& draft) {
    draft.asked = random_.sample(options_.task.keys, options_.task.queries);
    for (std::size_t k = 0; k < draft.keys.size(); ++k) {
        if (std::ranges::find(draft.asked, k) == draft.asked.end()) {
            draft.distractors.insert(
                draft.distractors.end(), draft.values[k].begin(), draft.values[k].end());
        }
    }
}

void NiahGenerator::place_in_essay(Draft& draft, std::size_t words) {
    const EssayCorpus::Cut cut = materials_.essays.cut(words);
    std::vector<std::uint32_t> depths;
    if (options_.depth) {
        depths.push_back(*options_.depth);
    } else {
        for (const std::size_t i : random_.sample(ruler_depths.size(), draft.needles.size())) {
            depths.push_back(ruler_depths.at(i));
        }
    }
    std::ranges::sort(depths);
    draft.depth = depths.size() == 1 ? std::optional(depths.front()) : std::nullopt;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < draft.needles.size(); ++i) {
        // In doubles, as in Python: one less than the exact quotient here and there.
        const double share = static_cast<double>(depths[i]) / 100.0;
        const auto end = static_cast<std::size_t>(static_cast<double>(cut.sentences) * share);
        draft.context.push_back(materials_.essays.part(cut, begin, end));
        draft.add(" " + draft.needles[i] + " ");
        begin = end;
    }
    draft.context.push_back(materials_.essays.part(cut, begin, cut.sentences));
}

void NiahGenerator::place_in_lines(Draft& draft, std::size_t lines) {
    const bool is_noise = options_.task.haystack == Haystack::noise;
    std::vector<std::size_t> places;
    if (options_.depth) {
        const double share = static_cast<double>(*options_.depth) / 100.0;
        places.push_back(static_cast<std::size_t>(static_cast<double>(lines) * share));
    } else {
        places = random_.sample(lines, draft.needles.size());
    }
    // RULER inserts from the back, so the first needle comes last.
    std::ranges::sort(places);
    std::ranges::reverse(draft.needles);
    if (draft.needles.size() == 1 && lines > 0) {
        draft.depth =
            options_.depth.value_or(static_cast<std::uint32_t>(100 * places.front() / lines));
    }
    if (is_noise) {
        const std::size_t bytes = lines * (noise_line.size() + 1);
        if (!materials_.noise || materials_.noise->text().size() < bytes) {
            std::string text;
            for (std::size_t i = 0; i < 2 * lines; ++i) {
                text += noise_line;
                text += '\n';
            }
            materials_.noise.emplace(std::move(text), materials_.counter);
        }
    }
    const auto add_lines = [&](std::size_t begin, std::size_t end) {
        if (is_noise && begin < end) {
            const std::size_t bytes = (end - begin) * (noise_line.size() + 1);
            draft.context.push_back(
                {.text = materials_.noise->text().substr(0, bytes), .whole = &*materials_.noise});
        } else if (begin < end) {
            std::string text;
            for (std::size_t i = begin; i < end; ++i) {
                text += draft.distractor_lines[i] + '\n';
            }
            draft.add(std::move(text));
        }
    };
    std::size_t begin = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
        add_lines(begin, places[i]);
        draft.add(draft.needles[i] + '\n');
        begin = places[i];
    }
    add_lines(begin, lines);
    // Lines are joined by newlines: none after the last.
    draft.context.back().text.remove_suffix(1);
}

void NiahGenerator::place(Draft& draft, std::size_t haystack_size) {
    draft.context.clear();
    draft.own.clear();
    if (options_.task.haystack == Haystack::essay) {
        place_in_essay(draft, haystack_size);
    } else {
        place_in_lines(draft, haystack_size);
    }
}

NiahGenerator::Draft NiahGenerator::draw(std::size_t haystack_size) {
    Draft draft;
    draw_needles(draft);
    if (options_.task.haystack == Haystack::needle) {
        for (std::size_t i = 0; i < haystack_size; ++i) {
            const std::string key = random_value(options_.task.key_kind);
            const std::string value = random_value(options_.task.value_kind);
            draft.distractor_lines.push_back(needle_sentence(options_.task.value_kind, key, value));
            draft.distractors.push_back(value);
        }
    }
    place(draft, haystack_size);
    draw_question(draft);
    return draft;
}

}  // namespace anamnesis::eval
