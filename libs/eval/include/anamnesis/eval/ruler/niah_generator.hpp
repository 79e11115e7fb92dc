// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/eval/ruler/counted_text.hpp"
#include "anamnesis/eval/ruler/essay_corpus.hpp"
#include "anamnesis/eval/ruler/niah_task.hpp"
#include "anamnesis/eval/ruler/python_random.hpp"
#include "anamnesis/eval/ruler/word_pairs.hpp"
#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

/// Whether RULER's singular wording also rewrites the wrapper ("You is a helpful assistant").
enum class SingularWording : std::uint8_t {
    as_ruler,   ///< the whole text, as RULER does
    task_only,  ///< the task's own text
};

struct NiahSettings {
    NiahTask task{};
    std::size_t length = 4096;  ///< tokens of prompt and answer together
    std::uint64_t seed = 42;
    std::string wrapper = "{task_template}";
    SingularWording singular = SingularWording::as_ruler;
    std::size_t tokens_to_generate = 128;
    bool removes_newlines = false;  ///< RULER's --remove_newline_tab
    /// RULER's --prepare_for_ns: the wrapper counts against the length, but is left out.
    bool leaves_wrapper_out = false;
    /// A place for the needle in percent, instead of RULER's random ones; every sample then fills
    /// its length. Single-needle tasks only.
    std::optional<std::uint32_t> depth{};
};

/// What all generators of a run share.
struct NiahMaterials {
    TokenCounter counter;
    WordPairs words;
    EssayCorpus essays;
    std::optional<CountedText> noise{};
};

/// Makes the samples of one task and length, one after the other, byte for byte as RULER does for
/// the same essays, tokenizer and seed.
///
/// Owner:  the materials must outlive it; several generators may take turns.
/// Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/niah.py.
class NiahGenerator {
public:
    /// Searches for the size of the haystack.
    /// Errors: `usage` for a depth with a task of several needles, a wrapper without
    ///         `{task_template}`, or a length that no haystack fits.
    NiahGenerator(NiahSettings options, NiahMaterials& materials);

    Sample next();

    /// What the search did, to compare with RULER's log.
    struct Search {
        std::size_t low = 0;
        std::size_t high = 0;
        std::vector<std::pair<std::size_t, std::size_t>> probes;  ///< size, tokens with the answer
    };
    const Search& search() const& { return search_; }
    const Search& search() const&& = delete;
    std::size_t haystack_size() const { return haystack_size_; }
    /// Tokens of a wrapper that is left out; else 0.
    std::size_t wrapper_tokens() const { return wrapper_tokens_; }

    /// The first sample that a new generator of the seed draws for a haystack of `size` units,
    /// whether it fits or not.
    static Sample unfitted(NiahSettings options, NiahMaterials& materials, std::size_t size);

private:
    struct Draft;
    struct Unfitted {};
    NiahGenerator(NiahSettings options, NiahMaterials& materials, Unfitted tag);

    std::string random_value(NeedleKind kind);
    Draft draw(std::size_t haystack_size);
    void draw_needles(Draft& draft);
    void draw_question(Draft& draft);
    void place_in_essay(Draft& draft, std::size_t words);
    void place_in_lines(Draft& draft, std::size_t lines);
    void place(Draft& draft, std::size_t haystack_size);
    std::size_t count_prompt_tokens(const Draft& draft) const;
    void fit();
    Draft draw_that_fits();
    Draft draw_that_fills();
    Sample finish(const Draft& draft);
    std::size_t budget() const;

    NiahSettings options_;
    NiahMaterials& materials_;
    PythonRandom random_;
    std::string template_;
    std::string answer_prefix_;
    std::size_t step_ = 500;
    std::size_t wrapper_tokens_ = 0;
    std::size_t haystack_size_ = 0;
    std::size_t made_ = 0;
    Search search_;
};

}  // namespace anamnesis::eval
