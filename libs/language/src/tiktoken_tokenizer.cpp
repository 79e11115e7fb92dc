// SPDX-License-Identifier: Apache-2.0
#include "tiktoken_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "byte_ranks.hpp"
#include "listed_tokens.hpp"
#include "pre_tokenizer.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

enum class Family : std::uint8_t { kimi, qwen, llama3 };

/// The first line of a text that is not empty; the text goes on after it.
std::string_view take_line(std::string_view& text) {
    std::string_view line;
    while (line.empty() && !text.empty()) {
        line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
    }
    return line;
}

std::optional<RankedBytes> find_token(std::string_view line) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size()) {
        return std::nullopt;
    }
    const std::string_view digits = line.substr(space + 1);
    RankedBytes token;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), token.rank);
    if (error != std::errc() || end != digits.data() + digits.size()) {
        return std::nullopt;
    }
    token.bytes = decode_base64(line.substr(0, space));
    return token;
}

std::vector<RankedBytes> read_tokens(std::string_view bytes) {
    std::vector<RankedBytes> tokens;
    std::string_view rest = bytes;
    for (std::string_view line = take_line(rest); !line.empty(); line = take_line(rest)) {
        std::optional<RankedBytes> token = in_context(
            [&] { return format("token {}", tokens.size()); }, [&] { return find_token(line); });
        if (!token) {
            throw Error(
                ErrorKind::malformed,
                format(
                    "token {} is {}, which is no base64 and rank", tokens.size(), in_quotes(line)));
        }
        tokens.push_back(*std::move(token));
    }
    return tokens;
}

std::string find_text(const Json& config, std::string_view key) {
    const Json* value = config.find(key);
    return value != nullptr && value->is_string() ? value->as_string(key) : std::string();
}

Family find_family(const Json& config) {
    const std::string name = find_text(config, "tokenizer_class");
    const std::string type = find_text(config, "model_type");
    const std::string code = is_set(config, "auto_map") ? config.at("auto_map").dump() : "";
    if (type.starts_with("kimi") || code.find("tokenization_kimi") != std::string::npos ||
        code.find("tokenization_moonshot") != std::string::npos) {
        return Family::kimi;
    }
    if (name == "QWenTokenizer" || code.find("tokenization_qwen.QWen") != std::string::npos) {
        return Family::qwen;
    }
    if (type == "llama" || type == "mllama" || type == "mllama_text_model") {
        return Family::llama3;
    }
    throw Error(
        ErrorKind::unsupported,
        format("a tiktoken file does not say how text is cut, and tokenizer_class {} with "
               "model_type {} is no family whose expression is known (Kimi, Qwen, Llama 3); "
               "put a tokenizer.json beside it: TikTokenConverter of transformers makes one "
               "of the file and the expression in the model's own code",
               in_quotes(name),
               in_quotes(type)));
}

void add_special(TokenizerFile& file, const std::string& content, std::uint64_t id) {
    Json entry = Json::object();
    entry.set("content", content);
    entry.set("special", true);
    add_token(file, entry, id);
}

void add_kimi_tokens(TokenizerFile& file, std::uint64_t base) {
    constexpr std::uint64_t reserved = 256;
    for (std::uint64_t id = base; id < base + reserved; ++id) {
        if (!file.vocabulary.find_text(static_cast<TokenId>(id))) {
            add_special(file, format("<|reserved_token_{}|>", id), id);
        }
    }
}

void add_qwen_tokens(TokenizerFile& file, std::uint64_t base) {
    constexpr std::array<std::string_view, 3> named{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    constexpr std::uint64_t extras = 205;
    for (std::uint64_t i = 0; i < named.size() + extras; ++i) {
        if (!file.vocabulary.find_text(static_cast<TokenId>(base + i))) {
            add_special(
                file,
                i < named.size() ? std::string(named[i]) : format("<|extra_{}|>", i - named.size()),
                base + i);
        }
    }
}

void add_family(TokenizerFile& file, Family family, std::uint64_t base, const Json& config) {
    add_listed_tokens(file, config);
    switch (family) {
        case Family::kimi:
            add_kimi_tokens(file, base);
            cut_by_expression(file, patterns::kimi);
            break;
        case Family::qwen:
            add_qwen_tokens(file, base);
            file.normaliser.push_back({.kind = Rewrite::Kind::nfc});
            cut_by_expression(file, patterns::qwen2);
            break;
        case Family::llama3:
            if (file.added.empty()) {
                throw Error(ErrorKind::unsupported,
                            "a tiktoken file does not name its special tokens, and "
                            "tokenizer_config.json lists none (added_tokens_decoder); copy the one "
                            "of the model's repository beside it");
            }
            cut_by_expression(file, patterns::llama3);
            break;
    }
    for (AddedToken& token : file.added) {
        token.is_normalised = false;
    }
    if (find_flag(config, "add_bos_token", family == Family::llama3)) {
        if (const auto id = find_named_token(file, config, "bos_token")) {
            file.before.push_back(*id);
        }
    }
    if (find_flag(config, "add_eos_token")) {
        if (const auto id = find_named_token(file, config, "eos_token")) {
            file.after.push_back(*id);
        }
    }
}

}  // namespace

bool is_tiktoken_file(std::string_view bytes) {
    constexpr std::string_view base64 =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const std::string_view line = take_line(bytes);
    const std::size_t space = line.find(' ');
    return space != std::string_view::npos && space > 0 && space + 1 < line.size() &&
           line.substr(0, space).find_first_not_of(base64) == std::string_view::npos &&
           line.find_first_not_of("0123456789", space + 1) == std::string_view::npos;
}

TokenizerFile read_tiktoken_tokenizer(std::string_view bytes, const Json& config) {
    const Family family = find_family(config);
    const std::vector<RankedBytes> tokens = read_tokens(bytes);
    TokenizerFile file;
    take_ranked_bytes(file, tokens, 0);
    add_family(file, family, file.vocabulary.id_limit(), config);
    return file;
}

}  // namespace anamnesis::language
