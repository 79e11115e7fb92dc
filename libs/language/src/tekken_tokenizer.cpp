// SPDX-License-Identifier: Apache-2.0
#include "tekken_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "byte_ranks.hpp"
#include "listed_tokens.hpp"
#include "tokenizer_features.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
namespace {

/// Those of files that list none: version 7 and earlier.
constexpr std::array<std::string_view, 20> unlisted_tokens{"<unk>",
                                                           "<s>",
                                                           "</s>",
                                                           "[INST]",
                                                           "[/INST]",
                                                           "[AVAILABLE_TOOLS]",
                                                           "[/AVAILABLE_TOOLS]",
                                                           "[TOOL_RESULTS]",
                                                           "[/TOOL_RESULTS]",
                                                           "[TOOL_CALLS]",
                                                           "[IMG]",
                                                           "<pad>",
                                                           "[IMG_BREAK]",
                                                           "[IMG_END]",
                                                           "[PREFIX]",
                                                           "[MIDDLE]",
                                                           "[SUFFIX]",
                                                           "[SYSTEM_PROMPT]",
                                                           "[/SYSTEM_PROMPT]",
                                                           "[TOOL_CONTENT]"};

std::vector<std::string> read_special_tokens(const Json& file, std::uint64_t count) {
    std::vector<std::string> tokens;
    if (is_set(file, "special_tokens")) {
        for (const Json& entry : file.at("special_tokens").as_array("special_tokens")) {
            if (entry.at("rank").as_unsigned("rank") != tokens.size()) {
                throw Error(ErrorKind::malformed,
                            format("special token {} has another rank", tokens.size()));
            }
            tokens.push_back(entry.at("token_str").as_string("token_str"));
        }
    } else {
        tokens.assign(unlisted_tokens.begin(), unlisted_tokens.end());
    }
    if (tokens.size() > count) {
        throw Error(ErrorKind::malformed,
                    format("{} special tokens are listed, default_num_special_tokens is {}",
                           tokens.size(),
                           count));
    }
    while (tokens.size() < count) {
        tokens.push_back(format("<SPECIAL_{}>", tokens.size()));
    }
    return tokens;
}

std::vector<RankedBytes> read_vocabulary(const Json& file, std::uint64_t count) {
    const Json::Array& entries = file.at("vocab").as_array("vocab");
    if (entries.size() < count) {
        throw Error(ErrorKind::malformed,
                    format("'vocab' has {} tokens, {} are needed", entries.size(), count));
    }
    std::vector<RankedBytes> tokens;
    tokens.reserve(count);
    for (std::uint64_t rank = 0; rank < count; ++rank) {
        const Json& entry = entries[rank];
        std::string bytes = decode_base64(entry.at("token_bytes").as_string("token_bytes"));
        const bool is_in_place =
            rank >= 256 || (bytes.size() == 1 && static_cast<unsigned char>(bytes[0]) == rank);
        if (entry.at("rank").as_unsigned("rank") != rank || !is_in_place) {
            throw Error(ErrorKind::malformed,
                        format("token {} of 'vocab' has another rank or is not that byte", rank));
        }
        tokens.push_back({.bytes = std::move(bytes), .rank = rank});
    }
    return tokens;
}

}  // namespace

TokenizerFile read_tekken_tokenizer(std::string_view json, const Json& config) {
    const Json source = Json::parse(json);
    const Json& settings = source.at("config");
    const std::uint64_t special =
        settings.at("default_num_special_tokens").as_unsigned("default_num_special_tokens");
    const std::uint64_t size = settings.at("default_vocab_size").as_unsigned("default_vocab_size");
    if (special > size || size > Vocabulary::max_id) {
        throw Error(ErrorKind::malformed,
                    format("default_vocab_size is {} with {} special tokens", size, special));
    }
    TokenizerFile file;
    take_ranked_bytes(file, read_vocabulary(source, size - special), special);
    cut_by_expression(file, settings.at("pattern").as_string("pattern"));
    const std::vector<std::string> tokens = read_special_tokens(source, special);
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        Json entry = Json::object();
        entry.set("content", tokens[id]);
        entry.set("special", true);
        add_token(file, entry, id);
    }
    add_listed_tokens(file, config);
    const auto add_end = [&](std::string_view flag,
                             bool otherwise,
                             std::string_view name,
                             std::vector<TokenId>& ends) {
        const auto id = std::ranges::find(tokens, name);
        if (find_flag(config, flag, otherwise) && id != tokens.end()) {
            ends.push_back(static_cast<TokenId>(id - tokens.begin()));
        }
    };
    add_end("add_bos_token", true, "<s>", file.before);
    add_end("add_eos_token", false, "</s>", file.after);
    return file;
}

}  // namespace anamnesis::language
