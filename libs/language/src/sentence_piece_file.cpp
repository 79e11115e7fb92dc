// SPDX-License-Identifier: Apache-2.0
#include "sentence_piece_file.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "byte_alphabet.hpp"
#include "protobuf.hpp"
#include "tokenizer_features.hpp"

namespace anamnesis::language {
namespace {

constexpr std::size_t longest_piece = 1000;

PieceKind read_kind(std::uint64_t value, std::size_t id) {
    if (value < 1 || value > 6) {
        throw Error(ErrorKind::malformed, format("piece {} is of type {}", id, value));
    }
    return static_cast<PieceKind>(value);
}

void check_text(std::string_view text, std::size_t id) {
    if (text.empty() || text.find('\0') != std::string_view::npos || !is_utf8(text)) {
        throw Error(ErrorKind::malformed,
                    format("piece {} is {}, which is no text", id, in_quotes(text)));
    }
    if (text.size() > longest_piece) {
        throw Error(
            ErrorKind::unsupported,
            format("piece {} has {} bytes, at most {} are taken", id, text.size(), longest_piece));
    }
}

SentencePieceFile::Piece read_piece(std::string_view message, std::size_t id) {
    SentencePieceFile::Piece piece;
    ProtobufReader reader(message);
    for (ProtobufField field; reader.next(field);) {
        switch (field.number) {
            case 1:
                piece.text = field.as_bytes();
                break;
            case 2:
                piece.score = field.as_float();
                break;
            case 3:
                piece.kind = read_kind(field.as_integer(), id);
                break;
            default:
                break;
        }
    }
    check_text(piece.text, id);
    if (piece.kind == PieceKind::byte && !find_fallback_byte(piece.text)) {
        throw Error(ErrorKind::malformed,
                    format("piece {} is {}, which is no byte", id, in_quotes(piece.text)));
    }
    if (!std::isfinite(piece.score)) {
        throw Error(ErrorKind::malformed,
                    format("piece {} ({}) has no finite score", id, in_quotes(piece.text)));
    }
    return piece;
}

void read_trainer_spec(SentencePieceFile& file, std::string_view message) {
    ProtobufReader reader(message);
    for (ProtobufField field; reader.next(field);) {
        switch (field.number) {
            case 3:
                file.model_type = field.as_integer();
                break;
            case 24:
                if (field.as_flag()) {
                    refuse_feature("a SentencePiece model with", "treat_whitespace_as_suffix");
                }
                break;
            case 35:
                file.falls_back_to_bytes = field.as_flag();
                break;
            case 44:
                file.unknown_surface = field.as_bytes();
                break;
            case 46:
                file.bos_piece = field.as_bytes();
                break;
            case 47:
                file.eos_piece = field.as_bytes();
                break;
            default:
                break;
        }
    }
    if (!is_utf8(file.unknown_surface)) {
        throw Error(ErrorKind::malformed, "'unk_surface' is no text");
    }
}

void read_normaliser_spec(SentencePieceFile& file, std::string_view message) {
    ProtobufReader reader(message);
    for (ProtobufField field; reader.next(field);) {
        switch (field.number) {
            case 2:
                file.character_map = field.as_bytes();
                break;
            case 3:
                file.adds_dummy_prefix = field.as_flag();
                break;
            case 4:
                file.removes_extra_spaces = field.as_flag();
                break;
            case 5:
                file.escapes_spaces = field.as_flag();
                break;
            default:
                break;
        }
    }
}

void refuse_denormaliser(std::string_view message) {
    ProtobufReader reader(message);
    for (ProtobufField field; reader.next(field);) {
        if (field.number == 2 && !field.as_bytes().empty()) {
            refuse_feature("a SentencePiece model with", "denormalizer_spec");
        }
    }
}

void check_model(const SentencePieceFile& file) {
    if (file.model_type != 1 && file.model_type != 2) {
        refuse_feature("a SentencePiece model of the type",
                       file.model_type == 3   ? "WORD"
                       : file.model_type == 4 ? "CHAR"
                                              : format("{}", file.model_type));
    }
    std::size_t unknown = 0;
    std::size_t bytes = 0;
    for (const SentencePieceFile::Piece& piece : file.pieces) {
        unknown += piece.kind == PieceKind::unknown ? 1 : 0;
        bytes += piece.kind == PieceKind::byte ? 1 : 0;
    }
    if (unknown != 1) {
        throw Error(ErrorKind::malformed,
                    format("the model has {} unknown pieces, expected 1", unknown));
    }
    const std::size_t expected = file.falls_back_to_bytes ? 256 : 0;
    if (bytes != expected) {
        throw Error(ErrorKind::malformed,
                    format("the model has {} byte pieces, expected {}", bytes, expected));
    }
}

}  // namespace

SentencePieceFile parse_sentence_piece_file(std::string_view bytes) {
    SentencePieceFile file;
    ProtobufReader reader(bytes);
    for (ProtobufField field; reader.next(field);) {
        switch (field.number) {
            case 1:
                file.pieces.push_back(read_piece(field.as_bytes(), file.pieces.size()));
                break;
            case 2:
                read_trainer_spec(file, field.as_bytes());
                break;
            case 3:
                read_normaliser_spec(file, field.as_bytes());
                break;
            case 5:
                refuse_denormaliser(field.as_bytes());
                break;
            default:
                break;
        }
    }
    check_model(file);
    return file;
}

}  // namespace anamnesis::language
