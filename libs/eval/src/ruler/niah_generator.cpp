// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/niah_generator.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/unicode.hpp"
#include "anamnesis/language/utf8.hpp"

#include "ruler/niah_draft.hpp"
#include "ruler/prompt_text.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view task_slot = "{task_template}";
constexpr std::string_view task_text =
    "Some special magic {type_needle_v} are hidden within the following text. Make sure to "
    "memorize it. I will quiz you about the {type_needle_v} afterwards.\n{context}\nWhat are all "
    "the special magic {type_needle_v} for {query} mentioned in the provided text?";
constexpr std::string_view prefix_text =
    " The special magic {type_needle_v} for {query} mentioned in the provided text are";
constexpr std::string_view noise_line =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// round(linspace(0, 100, 40)), percent
constexpr std::array<std::uint32_t, 40> ruler_depths{
    0,  3,  5,  8,  10, 13, 15, 18, 21, 23, 26, 28, 31, 33, 36, 38, 41, 44, 46, 49,
    51, 54, 56, 59, 62, 64, 67, 69, 72, 74, 77, 79, 82, 85, 87, 90, 92, 95, 97, 100};

}  // namespace

NiahGenerator::NiahGenerator(NiahSettings options, NiahMaterials& materials)
    : NiahGenerator(std::move(options), materials, Unfitted{}) {
    fit();
}

Sample NiahGenerator::unfitted(NiahSettings options, NiahMaterials& materials, std::size_t size) {
    NiahGenerator generator(std::move(options), materials, Unfitted{});
    return generator.finish(generator.draw(size));
}

NiahGenerator::NiahGenerator(NiahSettings options, NiahMaterials& materials, Unfitted /*tag*/)
    : options_(std::move(options)), materials_(materials), random_(options_.seed) {
    const std::size_t slot = options_.wrapper.find(task_slot);
    if (slot == std::string::npos) {
        throw Error(ErrorKind::usage,
                    format("the template {} has no {}", in_quotes(options_.wrapper), task_slot));
    }
    if (options_.depth && options_.task.needles() != 1) {
        throw Error(ErrorKind::usage,
                    format("a sweep over depths hides one needle; {} hides {}",
                           options_.task.name,
                           options_.task.needles()));
    }
    if (options_.task.haystack != Haystack::essay) {
        step_ = options_.length < 4096 ? 5 : 25;
    }
    std::string before = options_.wrapper.substr(0, slot);
    std::string after = options_.wrapper.substr(slot + task_slot.size());
    if (options_.leaves_wrapper_out) {
        wrapper_tokens_ = materials_.counter.count(options_.wrapper);
        before.clear();
        after.clear();
    }
    std::string task(task_text);
    std::string prefix(prefix_text);
    if (options_.task.is_singular()) {
        task = make_singular(std::move(task));
        prefix = make_singular(std::move(prefix));
        if (options_.singular == SingularWording::as_ruler) {
            before = make_singular(std::move(before));
            after = make_singular(std::move(after));
        }
    }
    std::string_view kind = to_string(options_.task.value_kind);
    if (options_.task.is_singular()) {
        kind.remove_suffix(1);
    }
    template_ = before + replace_all(std::move(task), "{type_needle_v}", kind) + after;
    answer_prefix_ = replace_all(std::move(prefix), "{type_needle_v}", kind);
}

std::size_t NiahGenerator::budget() const {
    return options_.length - std::min(options_.length, wrapper_tokens_);
}

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
            draft.needles.push_back(make_needle_sentence(
                task.value_kind, draft.keys.back(), draft.values.back().back()));
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
            draft.distractor_lines.push_back(
                make_needle_sentence(options_.task.value_kind, key, value));
            draft.distractors.push_back(value);
        }
    }
    place(draft, haystack_size);
    draw_question(draft);
    return draft;
}

namespace {

/// The prompt around a context: `text` with its slots filled.
struct Frame {
    std::string before;
    std::string after;
};

Frame make_frame(const std::string& text, const std::string& query) {
    constexpr std::string_view slot = "{context}";
    const std::size_t at = text.find(slot);
    return {.before = text.substr(0, at),
            .after = replace_all(text.substr(at + slot.size()), "{query}", query)};
}

}  // namespace

std::size_t NiahGenerator::count_prompt_tokens(const Draft& draft) const {
    std::vector<std::string> keys;
    for (const std::size_t k : draft.asked) {
        keys.push_back(draft.keys[k]);
    }
    const std::string query = join_keys(keys);
    const Frame frame = make_frame(template_ + answer_prefix_, query);
    std::vector<PromptPart> parts{{.text = frame.before}};
    parts.insert(parts.end(), draft.context.begin(), draft.context.end());
    parts.push_back({.text = frame.after});
    return count_tokens(parts, materials_.counter);
}

void NiahGenerator::fit() {
    const auto probe = [this](std::size_t size) { return count_prompt_tokens(draw(size)); };
    const double tokens_per_unit = static_cast<double>(probe(step_)) / static_cast<double>(step_);
    const double estimate = static_cast<double>(budget()) / tokens_per_unit * 3.0;
    std::size_t low = step_;
    std::size_t high = std::max(static_cast<std::size_t>(estimate), 2 * step_);
    search_ = {.low = low, .high = high, .probes = {}};
    haystack_size_ = step_;
    while (low <= high) {
        const std::size_t middle = (low + high) / 2;
        const std::size_t tokens = probe(middle) + options_.tokens_to_generate;
        search_.probes.emplace_back(middle, tokens);
        if (tokens <= budget()) {
            haystack_size_ = middle;
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
}

NiahGenerator::Draft NiahGenerator::draw_that_fits() {
    // RULER retries for ever where nothing fits.
    constexpr int most_tries = 1000;
    std::size_t size = haystack_size_;
    for (int i = 0; i < most_tries; ++i) {
        Draft draft = draw(size);
        if (count_prompt_tokens(draft) + options_.tokens_to_generate <= budget()) {
            return draft;
        }
        size -= size > step_ ? std::min(step_, size - 1) : 0;
    }
    throw Error(ErrorKind::usage,
                format("no sample of {} fits {} tokens with {} to generate; give a longer --length",
                       options_.task.name,
                       options_.length,
                       options_.tokens_to_generate));
}

NiahGenerator::Draft NiahGenerator::draw_that_fills() {
    // Twice the size of RULER's search is beyond the length; the distractors are drawn once.
    std::size_t high = 2 * haystack_size_;
    std::size_t low = 1;
    Draft draft = draw(high);
    const std::vector<std::string> needles = draft.needles;
    while (low < high) {
        const std::size_t middle = low + (high - low + 1) / 2;
        draft.needles = needles;
        place(draft, middle);
        if (count_prompt_tokens(draft) + options_.tokens_to_generate <= budget()) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    draft.needles = needles;
    place(draft, low);
    return draft;
}

Sample NiahGenerator::finish(const Draft& draft) {
    std::vector<std::string> keys;
    Sample sample{.task = std::string(options_.task.name), .length = options_.length};
    for (const std::size_t k : draft.asked) {
        keys.push_back(draft.keys[k]);
        sample.references.insert(
            sample.references.end(), draft.values[k].begin(), draft.values[k].end());
    }
    const Frame frame = make_frame(template_ + answer_prefix_, join_keys(keys));
    std::vector<PromptPart> parts{{.text = frame.before}};
    parts.insert(parts.end(), draft.context.begin(), draft.context.end());
    parts.push_back({.text = frame.after});
    sample.prompt_tokens = count_tokens(parts, materials_.counter);
    std::string text = join_parts(parts);
    if (options_.removes_newlines) {
        text = remove_newlines(text);
        parts = {{.text = text}};
    }
    constexpr std::size_t known = 10;
    const std::size_t prefix = text.rfind(answer_prefix_.substr(0, known));
    sample.answer_prefix = text.substr(prefix);
    text.resize(prefix);
    sample.input = std::move(text);
    const std::size_t found = sample.input.find(sample.references.front());
    sample.answer_offset = count_code_points(std::string_view(sample.input).substr(0, found));
    if (options_.removes_newlines) {
        parts = {{.text = sample.input}};
    }
    sample.tokens_before_answer = count_tokens(take_first_bytes(parts, found), materials_.counter);
    sample.distractors = draft.distractors;
    sample.depth = draft.depth;
    sample.index = made_++;
    return sample;
}

Sample NiahGenerator::next() {
    return finish(options_.depth ? draw_that_fills() : draw_that_fits());
}

}  // namespace anamnesis::eval
