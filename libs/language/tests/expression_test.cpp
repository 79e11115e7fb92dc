// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

#include "pre_tokenizer.hpp"
#include "split_stage.hpp"

// What the expressions of tokenizer.json cut is what tokenizers 0.23.3 (Oniguruma) cuts.
namespace anamnesis::language {
namespace {

using ::testing::HasSubstr;

/// The pieces that a stage cuts, joined by '|'.
std::string cut(const SplitStage& stage, std::string_view text) {
    std::string pieces;
    make_pattern_splitter(stage)->split({.text = text}, [&](std::string_view piece) {
        pieces += (pieces.empty() ? "" : "|") + std::string(piece);
    });
    return pieces;
}

std::string cut(const std::string& pattern, std::string_view text) {
    return cut(SplitStage{.pattern = pattern}, text);
}

std::string cut_by_rust(const std::string& pattern, std::string_view text) {
    return cut(SplitStage{.pattern = pattern, .dialect = Dialect::rust}, text);
}

/// Why an expression is refused, or nothing.
std::string find_refusal(const std::string& pattern, Dialect dialect = Dialect::oniguruma) {
    try {
        static_cast<void>(cut(SplitStage{.pattern = pattern, .dialect = dialect}, "a"));
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

// Kimi's expression begins with this class, and tokenizers 0.23.3 cuts so.
TEST(Expression, TakesTheNameOfAScriptForItsOwnCharactersOnly) {
    EXPECT_EQ(cut(R"([\p{Han}]+)", "他说：「我很好。」"), "他说|：「|我很好|。」");
    EXPECT_EQ(cut(R"(\p{Katakana}+|\p{Hiragana}+)", "「テスト」、です。"),
              "「|テスト|」、|です|。");
    EXPECT_EQ(cut(R"([\p{Lo}&&[^\p{Han}]]+)", "あ漢い"), "あ|漢|い");
    EXPECT_EQ(cut(R"(\P{Han}+)", "a「漢"), "a「|漢");
    EXPECT_EQ(cut(R"([\p{^Han}]+)", "a「漢"), "a「|漢");
    EXPECT_EQ(cut(R"(\p{Script=Arabic}+)", "\u060Cا"), "\u060C|ا");
    EXPECT_EQ(cut(R"(\p{Letter}+|\p{Punctuation})", "ab,c"), "ab|,|c");
    EXPECT_THROW(cut(R"(\p{InGreek})", "a"), Error);
    EXPECT_THROW(cut(R"(\p{Xan})", "a"), Error);
}

TEST(Expression, CountsMarksAsPartsOfWords) {
    EXPECT_EQ(cut(R"(\w+)", "नमस्ते दुनिया"), "नमस्ते| |दुनिया");
    EXPECT_EQ(cut(R"([^\w\s]+)", "ठीक है?!"), "ठीक है|?!");
    EXPECT_EQ(cut(R"(\W+)", "e\u0301-x"), "e\u0301|-|x");
    EXPECT_EQ(cut(R"(\b\w+\b)", "x\u0308y z"), "x\u0308y| |z");
    EXPECT_EQ(cut(R"([[:alpha:]]+)", "ते1"), "त\u0947|1");
    // Of words outside a class, but not within one.
    EXPECT_EQ(cut(R"(\w+)", "a½b"), "a½b");
    EXPECT_EQ(cut(R"([\w]+)", "a½b"), "a|½|b");
}

TEST(Expression, TakesNamedClassesAsOnigurumaDoes) {
    EXPECT_EQ(cut("[[:punct:]]+", "a+b$€¨,c"), "a|+|b|$€¨,|c");
    EXPECT_EQ(cut("[[:alnum:]]+", "½Ⅷ٣²"), "½|Ⅷ٣|²");
    EXPECT_EQ(cut("[[:^alpha:]]+", "a1b"), "a|1|b");
    EXPECT_EQ(cut(R"(\p{Punct}+)", "a+,b"), "a+|,|b");
    EXPECT_EQ(cut(R"(\h+)", "fg A9"), "f|g |A9");
    EXPECT_EQ(cut(R"([\H]+)", "f g"), "f| g");
    EXPECT_EQ(cut(R"(\u00e9|\x41|\101)", "éAb"), "é|A|b");
}

TEST(Expression, UnitesAndIntersectsClassesInClasses) {
    // BLOOM's expression.
    EXPECT_EQ(cut(R"( ?[^(\s|[.,!?…。，、।۔،])]+)", "नमस्ते। a,b"), "नमस्ते|।| a|,|b");
    EXPECT_EQ(cut(R"([a[b-d]\d]+)", "ad1e"), "ad1|e");
    EXPECT_EQ(cut("[^a-c&&b-d]", "abd"), "a|b|d");
    EXPECT_EQ(cut(R"([\w&&[^\d]]+)", "a1b"), "a|1|b");
    EXPECT_EQ(cut("[a-c-e]+", "b-ed"), "b-e|d");
}

TEST(Expression, RepeatsWhatOnigurumaRepeats) {
    // cl100k as tiktoken writes it: possessive there, a repeat of a repeat in a tokenizer.json.
    EXPECT_EQ(cut(R"(\p{N}{1,3}+)", "12345 67"), "12345| |67");
    EXPECT_EQ(cut_by_rust(R"(\p{N}{1,3}+)", "12345 67"), "123|45| |67");
    EXPECT_EQ(cut("a++|b", "aab"), "aa|b");
    EXPECT_EQ(cut("a{2}{2}", "aaaaa"), "aaaa|a");
    EXPECT_EQ(cut("a{,2}b", "aaab"), "a|aab");
    EXPECT_EQ(cut("a{1,2}?", "aa"), "a|a");
    EXPECT_EQ(cut("a{x", "ba{x"), "b|a{x");
}

TEST(Expression, FindsTheEndsOfLinesAndGroupsWhereOnigurumaDoes) {
    EXPECT_EQ(cut("^x|x$", "xxx\nxx"), "x|x|x|\n|x|x");
    EXPECT_EQ(cut_by_rust("^x|x$", "xxx\nxx"), "x|xx\nx|x");
    EXPECT_EQ(cut("(?m:.)+", "a\nb"), "a\nb");
    EXPECT_EQ(cut_by_rust("(?s:.)+", "a\nb"), "a\nb");
    EXPECT_EQ(cut("q(?i)b|c", "qB C qc"), "qB| C |qc");
    EXPECT_EQ(cut_by_rust("q(?i)b|c", "qB C qc"), "qB| |C| q|c");
    EXPECT_EQ(cut(R"((?i)\p{Lu}|k)", "aBkK"), "a|B|k|K");
}

TEST(Expression, CutsAtEmptyMatchesButNotWhereTheLastMatchEnded) {
    // The digits of SuperBPE, in groups of three from the right.
    EXPECT_EQ(cut(R"((?=(\d{3})+(?!\d)))", "1234567 12"), "1|234|567 12");
    EXPECT_EQ(cut("(?=b)", "aébéb"), "aé|bé|b");
    EXPECT_EQ(cut("x*", "axxb"), "a|xx|b");
    EXPECT_EQ(cut(R"(\b)", "ab c"), "ab| |c");
    EXPECT_EQ(cut("$", "a\n\nb"), "a|\n|\nb");
    EXPECT_EQ(cut({.pattern = "(?=b)", .behaviour = SplitBehaviour::with_previous}, "abab"),
              "a|ba|b");
    EXPECT_EQ(cut({.pattern = "a*", .behaviour = SplitBehaviour::removed}, "baab"), "b|b");
    EXPECT_EQ(cut("", ""), "");
}

TEST(Expression, FollowsTheRulesOfRustInFilesOfTiktoken) {
    EXPECT_EQ(cut_by_rust("[[:alpha:]]+", "aé"), "a|é");
    EXPECT_EQ(cut_by_rust(R"(\w+)", "a\u200Db½"), "a\u200Db|½");
    EXPECT_EQ(cut_by_rust(R"(\pL+)", "ab1"), "ab|1");
}

TEST(Expression, RefusesByNameWhatHasNoTranslation) {
    EXPECT_THAT(find_refusal("(?x)a b"), HasSubstr("(?x"));
    EXPECT_THAT(find_refusal("(?s:.)"), HasSubstr("(?s"));
    EXPECT_THAT(find_refusal("(?~a)"), HasSubstr("(?~"));
    EXPECT_THAT(find_refusal("(*FAIL)"), HasSubstr("(*"));
    EXPECT_THAT(find_refusal(R"(\X)"), HasSubstr(R"(the escape \X)"));
    EXPECT_THAT(find_refusal(R"(\pL)"), HasSubstr(R"(\p without a name in braces)"));
    EXPECT_THAT(find_refusal(R"(\p{InGreek})"), HasSubstr("the property 'InGreek'"));
    EXPECT_THAT(find_refusal(R"(\xE4)"), HasSubstr("a part of a character"));
    EXPECT_THAT(find_refusal("[[:foo:]]"), HasSubstr("[:foo:]"));
    EXPECT_THAT(find_refusal(R"([a-\d])"), HasSubstr("a range to a set"));
    EXPECT_THAT(find_refusal("(?=a)*"), HasSubstr("after nothing to repeat"));
    // One letter equals these two when case is ignored, but not for PCRE2.
    EXPECT_THAT(find_refusal("(?i)strasse"), HasSubstr("letters under (?i)"));
    EXPECT_EQ(find_refusal("(?i)'ll"), "");
    EXPECT_THAT(find_refusal(R"((?i)[\p{Lu}])"), HasSubstr("a class under (?i)"));
    EXPECT_THAT(find_refusal("[a--b]", Dialect::rust), HasSubstr("-- in a class"));
}

}  // namespace
}  // namespace anamnesis::language
