// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/unicode.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/language/utf8.hpp"

#include "json_lines.hpp"
#include "ruler/punkt.hpp"

namespace anamnesis::eval {
namespace {

const std::filesystem::path golden = shared_data / "golden/ruler";
const std::filesystem::path essays = shared_data / "essays/PaulGrahamEssays.json";

std::u32string collapsed(const std::string& text) {
    std::u32string result;
    for (std::size_t at = 0; at < text.size();) {
        const char32_t code = language::next_character(text, at);
        if (!is_python_space(code)) {
            result += code;
        } else if (!result.ends_with(U' ')) {
            result += U' ';
        }
    }
    return result;
}

std::string to_utf8(const std::u32string& text) {
    std::string result;
    for (const char32_t code : text) {
        language::append_utf8(result, code);
    }
    return result;
}

TEST(Punkt, FindsTheSentencesThatNltkFinds) {
    if (!std::filesystem::exists(golden)) {
        GTEST_SKIP() << "needs " << golden << " and " << essays;
    }
    const Json expected = Json::parse(io::read_text(golden / "sentences.json"));
    const std::u32string text =
        collapsed(Json::parse(io::read_text(essays)).at("text").as_string("text"));
    ASSERT_EQ(compute_sha256(to_utf8(text)),
              expected.at("collapsed_text_sha256").as_string("digest"));
    const auto spans = Punkt::english().sentences(text);
    const auto& wanted = expected.at("spans").as_array("spans");
    ASSERT_EQ(spans.size(), wanted.size());
    for (std::size_t i = 0; i < spans.size(); ++i) {
        const auto& span = wanted[i].as_array("span");
        ASSERT_EQ(spans[i].begin, span[0].as_unsigned("begin")) << i;
        ASSERT_EQ(spans[i].end, span[1].as_unsigned("end")) << i;
    }
}

/// Every run that RULER's scripts wrote, from the same essays, tokenizer and seed.
class RulerRuns : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        if (std::filesystem::exists(golden)) {
            tokenizer_ = std::make_unique<language::Tokenizer>(
                language::Tokenizer::open(shared_data / "tokenizers/qwen2.5"));
        }
    }
    static void TearDownTestSuite() { tokenizer_.reset(); }
    void SetUp() override {
        if (!tokenizer_) {
            GTEST_SKIP() << "needs " << shared_data;
        }
    }

    static NiahMaterials materials(bool cuts) {
        const TokenCounter counter{
            .count = [](std::string_view text) { return tokenizer_->encode(text).size(); },
            .cuts_before_spaces = cuts && tokenizer_->cuts_before_spaces()};
        return {.counter = counter,
                .words = WordPairs::wonderwords(),
                .essays = EssayCorpus::open(essays, counter)};
    }

    static NiahSettings read_options(const Json& run) {
        const Json& niah = run.at("niah_options");
        const auto number = [&](const char* key) {
            return std::stoull(niah.at(key).as_string(key));
        };
        std::vector<std::string> words;
        for (const Json& word : run.at("prepare_args").as_array("prepare_args")) {
            words.push_back(word.as_string("word"));
        }
        const auto type = std::ranges::find(words, "--model_template_type");
        return {.task = niah_task(run.at("task").as_string("task")),
                .length = number("max_seq_length"),
                .seed = number("random_seed"),
                .wrapper = std::string(ruler_wrapper(*(type + 1))),
                .tokens_to_generate = number("tokens_to_generate"),
                .removes_newlines = niah.find("remove_newline_tab") != nullptr,
                .leaves_wrapper_out = std::ranges::count(words, "--prepare_for_ns") > 0};
    }

    static void compare(const Json& run, NiahMaterials& shared) {
        SCOPED_TRACE(run.at("run").as_string("run") + " " + run.at("task").as_string("task"));
        const NiahSettings options = read_options(run);
        NiahGenerator generator(options, shared);
        const auto& bounds = run.at("binary_search_bounds").as_array("bounds");
        EXPECT_EQ(generator.search().low, bounds[0].as_unsigned("low"));
        EXPECT_EQ(generator.search().high, bounds[1].as_unsigned("high"));
        EXPECT_EQ(generator.haystack_size(), run.at("haystack_size").as_unsigned("size"));
        const auto& probes = run.at("binary_search_probes").as_array("probes");
        ASSERT_EQ(generator.search().probes.size(), probes.size());
        for (std::size_t i = 0; i < probes.size(); ++i) {
            EXPECT_EQ(generator.search().probes[i].first,
                      probes[i].as_array("probe")[0].as_unsigned("size"));
            EXPECT_EQ(generator.search().probes[i].second,
                      probes[i].as_array("probe")[1].as_unsigned("tokens"));
        }
        const Json* wrapper = run.at("niah_options").find("model_template_token");
        Sha256 digest;
        for (std::uint64_t i = 0; i < run.at("samples").as_unsigned("samples"); ++i) {
            digest.update(to_ruler_line(
                generator.next(),
                {.tokens_to_generate = options.tokens_to_generate,
                 .wrapper_tokens =
                     wrapper == nullptr ? 0 : std::stoull(wrapper->as_string("tokens"))}));
        }
        EXPECT_EQ(digest.finish(), run.at("file_sha256").as_string("digest"));
    }

    static std::unique_ptr<language::Tokenizer> tokenizer_;
};

std::unique_ptr<language::Tokenizer> RulerRuns::tokenizer_;

TEST_F(RulerRuns, AreWrittenByteForByte) {
    NiahMaterials shared = materials(true);
    std::size_t runs = 0;
    for (const Json& run : json_lines(golden / "runs.jsonl")) {
        compare(run, shared);
        ++runs;
    }
    EXPECT_GE(runs, 71U);
}

TEST_F(RulerRuns, AreTheSameWithEveryPromptCountedWhole) {
    NiahMaterials shared = materials(false);
    for (const Json& run : json_lines(golden / "runs.jsonl")) {
        if (run.at("niah_options").at("max_seq_length").as_string("length") == "1024") {
            compare(run, shared);
        }
    }
}

}  // namespace
}  // namespace anamnesis::eval
