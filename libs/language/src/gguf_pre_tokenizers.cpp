// SPDX-License-Identifier: Apache-2.0
#include "gguf_pre_tokenizers.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"

#include "pre_tokenizer.hpp"
#include "tokenizer_features.hpp"

namespace anamnesis::language {
namespace {

constexpr std::string_view digit = R"(\p{N})";
constexpr std::string_view three_digits = R"(\p{N}{1,3})";
constexpr std::string_view line_end = R"([\r\n])";
constexpr std::string_view line = R"([^\n]+|[\n]+)";

/// GPT-4o, gpt-oss, Llama 4 and MiniMax M2.
constexpr std::string_view gpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view tekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view bailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view seed_coder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view exaone_moe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view mini_cpm =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view bloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";

constexpr std::string_view deepseek_letters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{29)"
    R"(3}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\)"
    R"(x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{)"
    R"(556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{)"
    R"(1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x)"
    R"({1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{)"
    R"(1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x)"
    R"({1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\)"
    R"(x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{)"
    R"(2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{)"
    R"(214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2)"
    R"(CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{)"
    R"(A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x)"
    R"({FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x)"
    R"({10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";
constexpr std::string_view deepseek_marks =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr std::string_view deepseek_ideographs =
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view deepseek3_ideographs =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view deepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Form {
    std::string_view names;  ///< with spaces between them
    std::array<std::string_view, 6> expressions;
    bool ignores_merges = false;
    bool adds_bos = false;
};

constexpr auto forms = std::to_array<Form>({
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 "
              "jina-v5-nano",
     .expressions = {patterns::llama3},
     .ignores_merges = true,
     .adds_bos = true},
    {.names = "dbrx smaug-bpe glm4 chatglm-bpe", .expressions = {patterns::llama3}},
    {.names = "qwen2 deepseek-r1-qwen megrez stablelm2 hunyuan kormo solar-open grok-2",
     .expressions = {patterns::qwen2}},
    {.names = "qwen35", .expressions = {patterns::qwen3_5}},
    {.names = "gpt-2 phi-2 mpt olmo jina-es jina-de jina-v2-es jina-v2-de gigachat "
              "a.x-4.0 mellum roberta-bpe exaone4 jais trillion granite-docling",
     .expressions = {patterns::gpt2}},
    {.names = "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
     .expressions = {digit, patterns::gpt2}},
    {.names = "falcon",
     .expressions = {R"([\p{P}\$\+<=>\^~\|`]+)", patterns::gpt2, "[0-9][0-9][0-9]"}},
    {.names = "gpt-4o llama4 kanana2 talkie minimax-m2", .expressions = {gpt4o}},
    {.names = "tekken", .expressions = {tekken}, .ignores_merges = true, .adds_bos = true},
    {.names = "deepseek-llm",
     .expressions =
         {line_end, deepseek_letters, deepseek_marks, R"(\s+$)", deepseek_ideographs, digit}},
    {.names = "deepseek-coder",
     .expressions = {line_end, R"(\s?\p{L}+)", R"(\s?\p{P}+)", deepseek_ideographs, digit}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm",
     .expressions = {three_digits, deepseek3_ideographs, deepseek3}},
    {.names = "kimi-k2", .expressions = {patterns::kimi}},
    {.names = "bailingmoe bailingmoe2 llada-moe", .expressions = {bailing}},
    {.names = "seed-coder", .expressions = {seed_coder}},
    {.names = "exaone-moe", .expressions = {exaone_moe}},
    {.names = "minicpm5", .expressions = {three_digits, mini_cpm}},
    {.names = "laguna", .expressions = {line, patterns::qwen2}},
    {.names = "superbpe", .expressions = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
    {.names = "bloom poro-chat gpt3-finnish", .expressions = {bloom}},
    {.names = "viking", .expressions = {bloom, digit}},
    // Of files that name none: what llama.cpp does with them.
    {.names = "default",
     .expressions = {R"([\p{P}\$\+<=>\^~\|]+)", patterns::gpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
});

bool has_name(const Form& form, const std::string& name) {
    const std::vector<std::string> names = split(form.names, ' ');
    return std::ranges::find(names, name) != names.end();
}

}  // namespace

GgufPreTokenizer find_gguf_pre_tokenizer(const std::string& name) {
    const auto form =
        std::ranges::find_if(forms, [&](const Form& one) { return has_name(one, name); });
    if (form == forms.end()) {
        refuse_feature("a GGUF file with the pre-tokenizer", name);
    }
    GgufPreTokenizer found{.ignores_merges = form->ignores_merges, .adds_bos = form->adds_bos};
    for (const std::string_view expression : form->expressions) {
        if (expression.empty()) {
            break;
        }
        const bool is_of_tiktoken = expression == patterns::kimi;
        found.stages.push_back({.pattern = std::string(expression),
                                .dialect = is_of_tiktoken ? Dialect::rust : Dialect::oniguruma});
    }
    return found;
}

}  // namespace anamnesis::language
