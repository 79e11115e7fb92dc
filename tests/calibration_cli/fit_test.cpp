// SPDX-License-Identifier: Apache-2.0
//
// restore --method fit, end to end: the goldens of the demo pair, and every way that it is asked
// for. fit_texts_test.cpp has the texts.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "fit_command.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path testdata = ANAMNESIS_TESTDATA;
const fs::path goldens = testdata / "fit" / "moments";

std::vector<std::uint16_t> read_bf16(const fs::path& file, const std::string& name) {
    const auto checkpoint = checkpoint::Checkpoint::open(file);
    const checkpoint::TensorEntry& entry = checkpoint.at(name);
    std::vector<std::uint16_t> values(entry.bytes / 2);
    entry.read_at(0, std::as_writable_bytes(std::span(values)));
    return values;
}

TEST_F(Fit, GivesTheGoldenRowsAndTheRestOfPost) {
    use_demo_pair();
    const CommandResult result = restore({"--out", out_.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const auto of_post = tensor_digests(post_);
    const auto of_out = tensor_digests(out_);
    for (const auto& [name, digest] : of_post) {
        const bool is_fitted = name == "model.layers.2.self_attn.q_proj.weight" ||
                               name == "model.layers.2.self_attn.k_proj.weight";
        if (!is_fitted) {
            EXPECT_EQ(of_out.at(name), digest) << name;
            continue;
        }
        EXPECT_NE(of_out.at(name), digest) << name;
        const auto ours = read_bf16(out_, name);
        const auto expected =
            read_bf16(goldens / "repaired.safetensors", "fit_attention_0.3.bf16." + name);
        std::size_t equal = 0;
        for (std::size_t i = 0; i < ours.size(); ++i) {
            equal += ours[i] == expected[i] ? 1 : 0;
        }
        EXPECT_GE(equal * 100, 99 * ours.size()) << name;
    }
    const Json receipt = Json::parse(read_file(out_ / "anamnesis.json"));
    const Json& fit = receipt.at("request").at("fit");
    EXPECT_EQ(fit.at("mu").as_array("mu").front().as_double("mu"), 0.3);
    EXPECT_EQ(fit.at("keys").as_string("keys"), "attention");
    const Json& recall = fit.at("calibration").at("recall");
    EXPECT_EQ(recall.at("texts").as_unsigned("texts"), 32U);
    EXPECT_EQ(recall.at("predicted_tokens").as_unsigned("predicted"), 148U);
    EXPECT_EQ(recall.at("tokens_sha256").as_string("digest").size(), 64U);
    const auto& groups = fit.at("groups").as_array("groups");
    ASSERT_EQ(groups.size(), 2U);
    for (const Json& group : groups) {
        EXPECT_EQ(group.at("layer").as_unsigned("layer"), 2U);
        EXPECT_EQ(group.at("inputs").as_unsigned("inputs"), 96U);
        EXPECT_LE(group.at("rank").as_unsigned("rank"), 96U);
        EXPECT_GT(group.at("condition").as_double("condition"), 1.0);
        for (const auto& [side, other] :
             {std::pair("recall", "post"), std::pair("chains", "pre")}) {
            const Json& distances = group.at(side);
            EXPECT_GT(distances.at("seen").as_double("seen"), 0.0);
            EXPECT_LT(distances.at("held_back").as_double("held_back"),
                      distances.at(other).as_double(other));
        }
    }
    EXPECT_EQ(groups.back().at("part").as_string("part"), "q");
    EXPECT_EQ(groups.back().at("tokens").at("recall").as_unsigned("tokens"), 148U);
    EXPECT_EQ(verify(out_).exit_code, 0);
}

TEST_F(Fit, StoredMomentsGiveTheSameBytesWithoutAModelAndProveThem) {
    use_demo_pair();
    const fs::path moments = folder_.path() / "moments";
    ASSERT_EQ(restore({"--mu", "0.1,0.3", "--out", out_.string(), "--moments", moments.string()})
                  .exit_code,
              0);
    const fs::path again = folder_.path() / "again";
    const CommandResult reused =
        restore({"--mu", "0.3", "--out", again.string(), "--moments", moments.string()}, false);
    ASSERT_EQ(reused.exit_code, 0) << reused.errors;
    EXPECT_EQ(tensor_digests(folder_.path() / "out-mu-0.3"), tensor_digests(again));
    EXPECT_NE(tensor_digests(folder_.path() / "out-mu-0.1"), tensor_digests(again));

    const CommandResult proof = verify(again, {"--moments", moments.string()});
    EXPECT_EQ(proof.exit_code, 0) << proof.output;
    const Json json = Json::parse(proof.output);
    EXPECT_EQ(json.at("rows_recomputed").as_unsigned("rows"), 192U);
    // A repair with another mu is not the one that it says it is.
    fs::copy_file(again / "anamnesis.json",
                  folder_.path() / "out-mu-0.1" / "anamnesis.json",
                  fs::copy_options::overwrite_existing);
    const CommandResult refuted =
        verify(folder_.path() / "out-mu-0.1", {"--moments", moments.string()});
    EXPECT_EQ(refuted.exit_code, 1);
    EXPECT_THAT(refuted.output, HasSubstr("not those that the moments give"));
    // A second calibration into the folder is refused, not mixed with the first.
    const CommandResult second =
        restore({"--out", folder_.path() / "third", "--moments", moments.string()});
    EXPECT_EQ(second.exit_code, 2);
    EXPECT_THAT(second.errors, HasSubstr("exists"));
}

TEST_F(Fit, MomentsOfRoundsServeTheRowsThatTheRoundsRepaired) {
    use_demo_pair();
    const std::string moments = (folder_.path() / "moments").string();
    const std::vector<std::string> rounds{
        "--mu", "0.3", "--rounds", "1", "--moments", moments, "--out"};
    const auto with = [&](std::vector<std::string> more, bool calibrates) {
        std::vector<std::string> words = rounds;
        words.insert(words.end(), more.begin(), more.end());
        return restore(words, calibrates);
    };
    ASSERT_EQ(with({out_.string(), "--groups", "q,k,v,o"}, true).exit_code, 0);
    const fs::path other = folder_.path() / "other";
    for (const std::vector<std::string>& rows :
         {std::vector<std::string>{"--groups", "q,k"},
          std::vector<std::string>{"--groups", "q,k,v,o", "--keys", "centred"},
          std::vector<std::string>{"--groups", "q,k,v", "--heads", "0"}}) {
        std::vector<std::string> words{other.string()};
        words.insert(words.end(), rows.begin(), rows.end());
        const CommandResult refused = with(words, false);
        EXPECT_EQ(refused.exit_code, 6) << refused.output;
        EXPECT_THAT(refused.errors, HasSubstr("rounds that repaired other rows"));
        EXPECT_FALSE(fs::exists(other));
    }
    ASSERT_EQ(with({other.string(), "--groups", "q,k,v,o"}, false).exit_code, 0);
    EXPECT_EQ(tensor_digests(out_), tensor_digests(other));
}

TEST_F(Fit, InPlaceIsUndoneAndAPatchGivesTheSameRows) {
    use_demo_pair();
    const auto before = tensor_digests(post_);
    const fs::path patch = folder_.path() / "fit.safetensors";
    ASSERT_EQ(restore({"--patch", patch.string()}).exit_code, 0);
    const fs::path patched = folder_.path() / "patched";
    ASSERT_EQ(command({"apply", patch.string(), "--to", post_.string(), "--out", patched.string()})
                  .exit_code,
              0);
    const CommandResult in_place = restore({"--in-place"});
    ASSERT_EQ(in_place.exit_code, 0) << in_place.errors;
    EXPECT_EQ(tensor_digests(post_), tensor_digests(patched));
    EXPECT_NE(tensor_digests(post_), before);
    ASSERT_EQ(command({"undo", post_.string()}).exit_code, 0);
    EXPECT_EQ(tensor_digests(post_), before);
}

// Queries with gates among their rows, grouped queries, partial rotation, biases, windows: at the
// limits the rows are pre's or post's, wherever they lie.
TEST_F(Fit, LimitsArePreAndPostForEveryFamilyThatRuns) {
    for (const char* model : {"bamba_hub_config",
                              "falcon_h1_odd",
                              "gemma2_odd",
                              "gemma3_hub_config",
                              "gpt_neox_base",
                              "gpt_oss_hub_config",
                              "granitemoehybrid_hub_config",
                              "hypenet_base",
                              "hypenet_rope_attn",
                              "jamba_hub_config",
                              "jet_base",
                              "lfm2_hub_config",
                              "lfm3_base",
                              "minimax_odd",
                              "nemotron_h_hub_config",
                              "phi3_base",
                              "zamba2_odd",
                              "olmo_hybrid_base",
                              "qwen2_5_base",
                              "qwen3_5_base",
                              "qwen3_5_moe",
                              "qwen3_5_multimodal_wrapper",
                              "qwen3_base",
                              "qwen3_next_base"}) {
        SCOPED_TRACE(model);
        use_random_pair(model);
        const fs::path strong = folder_.path() / "strong";
        const fs::path copied = folder_.path() / "copied";
        const fs::path middle = folder_.path() / "middle";
        for (const fs::path& folder : {strong, copied, middle}) {
            fs::remove_all(folder);
        }
        const CommandResult zero =
            restore({"--groups", "q,k,v,o", "--mu", "0", "--out", strong.string()});
        ASSERT_EQ(zero.exit_code, 0) << zero.errors;
        ASSERT_EQ(command({"restore",
                           "--pre",
                           pre_.string(),
                           "--post",
                           post_.string(),
                           "--groups",
                           "q,k,v,o",
                           "--out",
                           copied.string()})
                      .exit_code,
                  0);
        EXPECT_EQ(tensor_digests(strong), tensor_digests(copied));
        const CommandResult half =
            restore({"--groups", "q,k,v,o", "--mu", "0.3", "--out", middle.string()});
        ASSERT_EQ(half.exit_code, 0) << half.errors;
        EXPECT_NE(tensor_digests(middle), tensor_digests(copied));
        EXPECT_NE(tensor_digests(middle), tensor_digests(post_));
        EXPECT_EQ(verify(middle).exit_code, 0);
    }
}

TEST_F(Fit, AnInfiniteMuIsPost) {
    use_random_pair("qwen3_base");
    const CommandResult result = restore({"--mu", "0.3,inf", "--out", out_.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(tensor_digests(folder_.path() / "out-mu-inf"), tensor_digests(post_));
    EXPECT_NE(tensor_digests(folder_.path() / "out-mu-0.3"), tensor_digests(post_));
    EXPECT_THAT(result.errors, HasSubstr("the rows that --method fit wrote are post's"));
    EXPECT_THAT(read_file(folder_.path() / "out-mu-inf" / "anamnesis.json"),
                HasSubstr("nothing_changed"));
    EXPECT_THAT(read_file(folder_.path() / "out-mu-0.3" / "anamnesis.json"),
                Not(HasSubstr("nothing_changed")));
}

TEST_F(Fit, OfAPairOfTheSameWeightsIsRefusedBeforeATextIsRead) {
    use_random_pair("qwen3_base");
    fs::copy_file(post_ / "model.safetensors",
                  pre_ / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    recall_ = folder_.path() / "not_there.jsonl";
    const CommandResult result = restore({"--out", out_.string()});
    EXPECT_EQ(result.exit_code, 6) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("are the same in pre and post"));
}

TEST_F(Fit, ADryRunDoesNotChooseAMu) {
    use_random_pair("qwen3_base");
    const auto mu_of = [&](const std::vector<std::string>& options) {
        std::vector<std::string> words{"--dry-run", "--json"};
        words.insert(words.end(), options.begin(), options.end());
        const CommandResult result = restore(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return Json::parse(result.output).at("request").at("fit").at("mu").dump();
    };
    EXPECT_EQ(mu_of({"--mu", "auto"}), R"("auto")");
    EXPECT_EQ(mu_of({"--mu", "0.5"}), "[0.5]");
    EXPECT_EQ(mu_of({}), "[0.3]");
}

TEST_F(Fit, InputsAreScaledOnlyWhereThatIsAskedFor) {
    use_random_pair("qwen3_base");
    const fs::path moments = folder_.path() / "moments";
    const fs::path plain = folder_.path() / "plain";
    ASSERT_EQ(restore({"--out", plain.string()}).exit_code, 0);
    const CommandResult result =
        restore({"--scale-inputs", "--out", out_.string(), "--moments", moments.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_NE(tensor_digests(out_), tensor_digests(plain));
    EXPECT_NE(tensor_digests(out_), tensor_digests(post_));
    EXPECT_EQ(verify(out_, {"--moments", moments.string()}).exit_code, 0);
    // The moments are the same: it is the solution that differs.
    EXPECT_EQ(verify(plain, {"--moments", moments.string()}).exit_code, 0);
}

TEST_F(Fit, FeedForwardsAndTheHeadHaveMomentsToo) {
    use_random_pair("qwen3_base");
    const fs::path moments = folder_.path() / "moments";
    const CommandResult result = restore(
        {"--groups", "mlp,q", "--mu", "1", "--out", out_.string(), "--moments", moments.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(verify(out_, {"--moments", moments.string()}).exit_code, 0);
    const auto of_post = tensor_digests(post_);
    for (const auto& [name, digest] : tensor_digests(out_)) {
        const bool is_fitted =
            name.find("mlp.") != std::string::npos || name.find("q_proj") != std::string::npos;
        EXPECT_EQ(digest == of_post.at(name), !is_fitted) << name;
    }
}

std::string read_row(const fs::path& folder, const std::string& name, std::uint64_t row) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder);
    const checkpoint::TensorEntry& entry = checkpoint.at(name);
    std::string bytes(entry.row_bytes(), '\0');
    entry.read_at(row * bytes.size(), std::as_writable_bytes(std::span(bytes)));
    return bytes;
}

TEST_F(Fit, RowsOfTheEmbeddingAreMixedByHowOftenTextsReadThem) {
    use_random_pair("qwen3_next_base");
    // Token 5 is read by recall texts alone, 6 by chains alone, 7 by neither.
    recall_ = folder_.write("r.jsonl", "{\"input_ids\":[5,4,3],\"labels\":[-100,4,3]}\n");
    chains_ = folder_.write("c.jsonl", "{\"input_ids\":[6,4,6],\"labels\":[-100,4,6]}\n");
    const fs::path moments = folder_.path() / "moments";
    const CommandResult result = restore({"--groups",
                                          "embedding",
                                          "--mu",
                                          "0,0.5,inf",
                                          "--out",
                                          out_.string(),
                                          "--moments",
                                          moments.string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const std::string name = "model.embed_tokens.weight";
    const fs::path middle = folder_.path() / "out-mu-0.5";
    const auto is_of = [&](const fs::path& side, std::uint64_t token) {
        return read_row(middle, name, token) == read_row(side, name, token);
    };
    EXPECT_TRUE(is_of(post_, 6));
    EXPECT_TRUE(is_of(post_, 7));
    for (const std::uint64_t token : {3U, 4U, 5U}) {
        EXPECT_FALSE(is_of(post_, token)) << token;
    }
    EXPECT_FALSE(is_of(pre_, 4));
    EXPECT_EQ(tensor_digests(folder_.path() / "out-mu-0").at(name), tensor_digests(pre_).at(name));
    EXPECT_EQ(tensor_digests(folder_.path() / "out-mu-inf"), tensor_digests(post_));
    const CommandResult proof = verify(middle, {"--moments", moments.string()});
    EXPECT_EQ(proof.exit_code, 0) << proof.output;
    EXPECT_EQ(Json::parse(proof.output).at("rows_recomputed").as_unsigned("rows"), 211U);
}

TEST_F(Fit, ATiedEmbeddingIsRefused) {
    use_random_pair("lfm2_hub_config");
    const CommandResult result = restore({"--out", out_.string(), "--groups", "embedding"});
    EXPECT_EQ(result.exit_code, 5) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("it is the head as well (tied)"));
    EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace anamnesis::testing
