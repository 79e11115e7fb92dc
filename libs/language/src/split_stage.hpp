// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace anamnesis::language {

/// Whose rules an expression follows.
enum class Dialect : std::uint8_t {
    oniguruma,  ///< what tokenizers runs the expressions of a tokenizer.json by
    rust,       ///< fancy-regex, which tiktoken uses
};

/// What becomes of the matches of an expression, as `tokenizers` names it.
enum class SplitBehaviour : std::uint8_t {
    isolated,  ///< each a piece
    removed,   ///< left out
    with_previous,
    with_next,
    contiguous,  ///< neighbouring matches are one piece
};

enum class PrependScheme : std::uint8_t { always, first, never };

/// One step of a pre-tokenizer.
struct SplitStage {
    enum class Kind : std::uint8_t {
        pattern,
        metaspace,     ///< spaces become `replacement`, pieces begin with it
        prefix_space,  ///< a space before each piece that has none
        spell_bytes,   ///< bytes are spelled as characters; what follows sees these
    };

    Kind kind = Kind::pattern;
    std::string pattern{};
    Dialect dialect = Dialect::oniguruma;
    SplitBehaviour behaviour = SplitBehaviour::isolated;
    bool is_inverted = false;  ///< what lies between the matches is what the behaviour is about
    std::string replacement{};
    PrependScheme prepends = PrependScheme::always;
    bool splits = true;  ///< metaspace: before each replacement
};

}  // namespace anamnesis::language
