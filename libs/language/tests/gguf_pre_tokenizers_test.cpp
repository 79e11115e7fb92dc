// SPDX-License-Identifier: Apache-2.0
#include "gguf_pre_tokenizers.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"

#include "pre_tokenizer.hpp"

namespace anamnesis::language {
namespace {

std::vector<std::string> read_texts(const Json& list) {
    std::vector<std::string> texts;
    for (const Json& text : list.as_array("texts")) {
        texts.push_back(text.as_string("a text"));
    }
    return texts;
}

TEST(GgufPreTokenizers, CutAsTheReferenceDoes) {
    const Json golden = Json::parse(io::read_text(std::filesystem::path(ANAMNESIS_TESTDATA) /
                                                  "tokenizer/gguf_pre_tokenizers.json"));
    const std::vector<std::string> texts = read_texts(golden.at("texts"));
    for (const Json& form : golden.at("forms").as_array("forms")) {
        const Json::Array& expected = form.at("pieces").as_array("pieces");
        for (const std::string& name : read_texts(form.at("names"))) {
            PreTokenizer cutting;
            for (const SplitStage& stage : find_gguf_pre_tokenizer(name).stages) {
                cutting.add(stage);
            }
            for (std::size_t i = 0; i < texts.size(); ++i) {
                std::vector<std::string> pieces;
                cutting.split({.text = texts[i], .begins_text = true},
                              [&](std::string_view piece) { pieces.emplace_back(piece); });
                EXPECT_EQ(pieces, read_texts(expected[i])) << name << ": " << texts[i];
            }
        }
    }
}

TEST(GgufPreTokenizers, KnowWhatComesWithAName) {
    EXPECT_TRUE(find_gguf_pre_tokenizer("lfm2").ignores_merges);
    EXPECT_TRUE(find_gguf_pre_tokenizer("tekken").adds_bos);
    EXPECT_FALSE(find_gguf_pre_tokenizer("falcon").ignores_merges);
    EXPECT_FALSE(find_gguf_pre_tokenizer("qwen2").adds_bos);
    EXPECT_THROW(static_cast<void>(find_gguf_pre_tokenizer("chameleon")), Error);
}

}  // namespace
}  // namespace anamnesis::language
