// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/tokenize_job.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/line_reader.hpp"
#include "anamnesis/io/output_checks.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {
namespace {

namespace fs = std::filesystem;

Json list_ids(const std::vector<TokenId>& tokens) {
    Json ids = Json::array();
    for (const TokenId token : tokens) {
        ids.push_back(static_cast<std::int64_t>(token));
    }
    return ids;
}

Json list_pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
    Json pieces = Json::array();
    for (const TokenId token : tokens) {
        pieces.push_back(tokenizer.find_text(token).value_or(""));
    }
    return pieces;
}

/// Warns of each note of the tokenizer, and lists them.
Json tell_notes(const Tokenizer& tokenizer, const Watch& watch) {
    Json notes = Json::array();
    for (const std::string& note : tokenizer.list_notes()) {
        watch.warn(note);
        notes.push_back(note);
    }
    return notes;
}

/// What `ids` of a line name. A model's embedding may have more rows, which no text stands for.
/// Errors: `malformed` for an id without a token.
std::vector<TokenId> read_ids(const Json& list, const Tokenizer& tokenizer) {
    constexpr std::uint64_t most = 0x7FFFFFFF;
    std::vector<TokenId> ids;
    for (const Json& id : list.as_array("ids")) {
        const std::uint64_t number = id.as_unsigned("an id");
        if (number > most || !tokenizer.find_text(static_cast<TokenId>(number))) {
            const std::size_t size = tokenizer.vocabulary_size();
            throw Error(ErrorKind::malformed,
                        format("id {} is {} the vocabulary of {}; give ids of this tokenizer",
                               number,
                               number < size ? "of no token in" : "outside",
                               size));
        }
        ids.push_back(static_cast<TokenId>(number));
    }
    return ids;
}

bool read_flag(const Json& line, std::string_view name, bool otherwise) {
    const Json* value = line.find(name);
    return value == nullptr || value->is_null() ? otherwise : value->as_boolean(in_quotes(name));
}

/// Answers the lines of one file.
class LineAnswerer {
public:
    LineAnswerer(const fs::path& tokenizer, const Watch& watch)
        : folder_(tokenizer),
          tokenizer_(Tokenizer::open(tokenizer)),
          summary_{.notes = tell_notes(tokenizer_, watch)} {}

    Json answer(const Json& line) {
        Json result = line;
        if (line.find("messages") != nullptr) {
            render(line, result);
        } else if (line.find("text") != nullptr) {
            encode(
                line.at("text").as_string("text"), read_flag(line, "add_special", false), result);
        } else if (line.find("ids") != nullptr) {
            decode(line, result);
        } else {
            throw Error(ErrorKind::malformed,
                        "the line has neither 'text' nor 'ids' nor 'messages'");
        }
        return result;
    }

    const TokenizeSummary& summary() const& { return summary_; }

private:
    void encode(const std::string& text, bool adds_special, Json& result) {
        const std::vector<TokenId> ids =
            tokenizer_.encode(text, EncodeOptions{.adds_special = adds_special});
        result.set("ids", list_ids(ids));
        result.set("pieces", list_pieces(tokenizer_, ids));
        summary_.tokens += ids.size();
    }

    void decode(const Json& line, Json& result) {
        const std::vector<TokenId> ids = read_ids(line.at("ids"), tokenizer_);
        const bool skips = read_flag(line, "skip_special", true);
        result.set("text",
                   tokenizer_.decode(ids, skips ? SpecialTokens::skip : SpecialTokens::keep));
        summary_.tokens += ids.size();
    }

    void render(const Json& line, Json& result) {
        if (!chat_) {
            const bool holds_template = fs::is_directory(folder_) || folder_.extension() == ".gguf";
            chat_ = ChatTemplate::open(holds_template ? folder_ : folder_.parent_path());
        }
        RenderOptions options{.add_generation_prompt =
                                  read_flag(line, "add_generation_prompt", false)};
        for (const auto& [name, value] : line.as_object("the line")) {
            if (name != "messages" && name != "add_generation_prompt" && name != "text" &&
                name != "ids" && name != "error") {
                options.variables.set(name, value);
            }
        }
        try {
            const std::string text = chat_->render(line.at("messages"), options);
            result.set("text", text);
            encode(text, false, result);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::usage) {
                throw;
            }
            result.set("error", error.message());
            ++summary_.refused;
        }
    }

    fs::path folder_;
    Tokenizer tokenizer_;
    std::optional<ChatTemplate> chat_{};
    TokenizeSummary summary_;
};

}  // namespace

Json tokenize_text(const fs::path& tokenizer, std::string_view text, const Watch& watch) {
    const Tokenizer known = Tokenizer::open(tokenizer);
    const std::vector<TokenId> ids = known.encode(text);
    return Json::Object{{"text", text},
                        {"ids", list_ids(ids)},
                        {"pieces", list_pieces(known, ids)},
                        {"notes", tell_notes(known, watch)}};
}

std::string list_tokens(const Json& tokens) {
    const Json::Array& ids = tokens.at("ids").as_array("ids");
    const Json::Array& pieces = tokens.at("pieces").as_array("pieces");
    std::string lines;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        lines += format("{:>8}  {}\n", ids[i].as_integer("id"), pieces[i].as_string("piece"));
    }
    return lines;
}

TokenizeSummary tokenize_lines(const TokenizeJob& job, const Watch& watch) {
    io::refuse_to_replace_input("--out", job.out, {job.in, job.tokenizer});
    LineAnswerer answerer(job.tokenizer, watch);
    io::JsonLineReader lines(job.in);
    io::AtomicFile output(job.out);
    std::uint64_t written = 0;
    TokenizeSummary summary;
    for (Json line; lines.next(line);) {
        throw_if_stopped(watch, [] { return std::string("interrupted; nothing was written"); });
        const std::string text = in_context([&] { return format("answering {}", lines.place()); },
                                            [&] { return answerer.answer(line).dump() + "\n"; });
        output.file().write_at(written, std::as_bytes(std::span(text)));
        written += text.size();
        ++summary.lines;
    }
    output.commit();
    summary.tokens = answerer.summary().tokens;
    summary.refused = answerer.summary().refused;
    summary.notes = answerer.summary().notes;
    return summary;
}

std::string to_text(const TokenizeSummary& summary) {
    return format("{} lines, {} tokens; {} chats refused by the template\n",
                  with_separators(summary.lines),
                  with_separators(summary.tokens),
                  summary.refused);
}

Json to_json(const TokenizeJob& job, const TokenizeSummary& summary) {
    return Json::Object{{"in", job.in.string()},
                        {"out", job.out.string()},
                        {"lines", summary.lines},
                        {"tokens", summary.tokens},
                        {"refused", summary.refused},
                        {"notes", summary.notes}};
}

}  // namespace anamnesis::language
