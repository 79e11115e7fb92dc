// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// What a piece of a SentencePiece model is for.
enum class PieceKind : std::uint8_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
};

/// The settings and pieces of a SentencePiece model, checked.
struct SentencePieceFile {
    struct Piece {
        std::string_view text;  ///< of the bytes that were read
        float score = 0.0F;
        PieceKind kind = PieceKind::normal;
    };
    std::vector<Piece> pieces{};  ///< by id
    std::uint64_t model_type = 1;
    bool falls_back_to_bytes = false;
    std::string unknown_surface = " \xE2\x81\x87 ";  ///< what the unknown piece decodes to
    std::string bos_piece = "<s>";
    std::string eos_piece = "</s>";
    std::string_view character_map{};  ///< `precompiled_charsmap`
    bool adds_dummy_prefix = true;
    bool removes_extra_spaces = true;
    bool escapes_spaces = true;
};

/// Reads a `tokenizer.model`; its bytes must outlive the result.
///
/// Errors: `malformed` for bytes that are no such message, for a piece that is empty, ill-formed,
/// there twice, or without a finite score, for byte pieces that are not all there; `unsupported`,
/// by name, for `treat_whitespace_as_suffix`, a denormaliser, a model of words or characters and
/// a piece of more than 1,000 bytes.
/// Source: sentencepiece 0.2.3, sentencepiece_model.proto and model_interface.cc.
SentencePieceFile parse_sentence_piece_file(std::string_view bytes);

}  // namespace anamnesis::language
