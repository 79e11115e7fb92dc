// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/language/utf8.hpp"

#include "byte_alphabet.hpp"
#include "pre_tokenizer.hpp"
#include "rewrites.hpp"
#include "split_stage.hpp"

namespace anamnesis::language {
namespace {

/// A stretch of a text.
struct Span {
    std::string_view text;
    bool is_match = false;
};

/// The stretch from the beginning of one to the end of another, both of one text.
std::string_view join(std::string_view first, std::string_view last) {
    return {first.data(), static_cast<std::size_t>(last.data() + last.size() - first.data())};
}

/// Source: tokenizers 0.23, tokenizer/normalizer.rs, `split`.
class PatternSplitter final : public Splitter {
public:
    explicit PatternSplitter(const SplitStage& stage)
        : stage_(stage), expression_(stage.pattern, stage.dialect) {}

    void split(const TextPiece& piece, const TakePiece& take) const override {
        if (stage_.behaviour == SplitBehaviour::isolated) {
            expression_.match(piece.text, [&](std::string_view text, bool) {
                if (!text.empty()) {
                    take(text);
                }
            });
            return;
        }
        std::vector<Span> spans;
        expression_.match(piece.text, [&](std::string_view text, bool is_match) {
            spans.push_back({.text = text, .is_match = is_match != stage_.is_inverted});
        });
        for (const std::string_view text : arrange(spans)) {
            if (!text.empty()) {
                take(text);
            }
        }
    }

private:
    std::vector<std::string_view> arrange(const std::vector<Span>& spans) const {
        std::vector<std::string_view> pieces;
        bool was_match = false;
        const auto add = [&](const Span& span, bool joins) {
            if (joins && !pieces.empty()) {
                pieces.back() = join(pieces.back(), span.text);
            } else {
                pieces.push_back(span.text);
            }
            was_match = span.is_match;
        };
        switch (stage_.behaviour) {
            case SplitBehaviour::isolated:
            case SplitBehaviour::removed:
                for (const Span& span : spans) {
                    if (!span.is_match) {
                        pieces.push_back(span.text);
                    }
                }
                break;
            case SplitBehaviour::contiguous:
                for (const Span& span : spans) {
                    add(span, !pieces.empty() && span.is_match == was_match);
                }
                break;
            case SplitBehaviour::with_previous:
                for (const Span& span : spans) {
                    add(span, span.is_match && !was_match);
                }
                break;
            case SplitBehaviour::with_next:
                for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
                    if (span->is_match && !was_match && !pieces.empty()) {
                        pieces.back() = join(span->text, pieces.back());
                    } else {
                        pieces.push_back(span->text);
                    }
                    was_match = span->is_match;
                }
                return {pieces.rbegin(), pieces.rend()};
        }
        return pieces;
    }

    SplitStage stage_;
    Expression expression_;
};

/// Source: tokenizers 0.23, pre_tokenizers/metaspace.rs.
class MetaspaceSplitter final : public Splitter {
public:
    explicit MetaspaceSplitter(const SplitStage& stage) : stage_(stage) {}

    void split(const TextPiece& piece, const TakePiece& take) const override {
        std::string text = replace_all(piece.text, " ", stage_.replacement);
        const bool prepends = stage_.prepends == PrependScheme::always ||
                              (stage_.prepends == PrependScheme::first && piece.begins_text);
        if (prepends && !text.starts_with(stage_.replacement)) {
            text.insert(0, stage_.replacement);
        }
        if (!stage_.splits) {
            take(text);
            return;
        }
        const std::string_view all = text;
        std::size_t begin = 0;
        while (begin < all.size()) {
            std::size_t end = all.find(stage_.replacement, begin + 1);
            // A run of replacements goes with what follows, the first ones alone.
            end = end == std::string_view::npos ? all.size() : end;
            take(all.substr(begin, end - begin));
            begin = end;
        }
    }

private:
    SplitStage stage_;
};

class PrefixingSplitter final : public Splitter {
public:
    void split(const TextPiece& piece, const TakePiece& take) const override {
        if (piece.text.starts_with(' ')) {
            take(piece.text);
            return;
        }
        const std::string spaced = " " + std::string(piece.text);
        take(spaced);
    }
};

/// Shows another splitter bytes as characters, and cuts the bytes where it cuts those.
class SpelledSplitter final : public Splitter {
public:
    explicit SpelledSplitter(std::unique_ptr<Splitter> inner) : inner_(std::move(inner)) {}

    void split(const TextPiece& piece, const TakePiece& take) const override {
        const std::string spelled = spell_bytes(piece.text);
        const std::string_view all = spelled;
        std::size_t at = 0;     // in what is spelled
        std::size_t bytes = 0;  // what it stands for
        const auto advance_to = [&](std::size_t end) {
            for (; at < end; ++bytes) {
                static_cast<void>(next_character(all, at));
            }
            return bytes;
        };
        inner_->split({.text = all, .begins_text = piece.begins_text}, [&](std::string_view part) {
            const auto offset = static_cast<std::size_t>(part.data() - all.data());
            const std::size_t begin = advance_to(offset);
            const std::size_t end = advance_to(offset + part.size());
            take(piece.text.substr(begin, end - begin));
        });
    }

private:
    std::unique_ptr<Splitter> inner_;
};

}  // namespace

std::unique_ptr<Splitter> make_pattern_splitter(const SplitStage& stage) {
    return std::make_unique<PatternSplitter>(stage);
}

std::unique_ptr<Splitter> make_metaspace_splitter(const SplitStage& stage) {
    return std::make_unique<MetaspaceSplitter>(stage);
}

std::unique_ptr<Splitter> make_prefixing_splitter() {
    return std::make_unique<PrefixingSplitter>();
}

std::unique_ptr<Splitter> make_spelled_splitter(std::unique_ptr<Splitter> inner) {
    return std::make_unique<SpelledSplitter>(std::move(inner));
}

}  // namespace anamnesis::language
