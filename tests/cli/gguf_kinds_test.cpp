// SPDX-License-Identifier: Apache-2.0
//
// The real binary on GGUF files that are put together here: types, options and refusals.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/file.hpp"

#include "folder_snapshot.hpp"
#include "gguf_bytes.hpp"
#include "json_schema.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::uint32_t f32 = 0;
constexpr std::uint32_t q4_0 = 2;
constexpr std::uint32_t q8_0 = 8;
constexpr std::uint32_t iq2_s = 22;
constexpr std::uint32_t nvfp4 = 40;

/// Bytes of one tensor of 256 columns; `seed` tells two checkpoints apart.
std::string make_blocks(std::uint32_t type, std::uint64_t rows, unsigned char seed) {
    const auto row_bytes = [&]() -> std::uint64_t {
        switch (type) {
            case q4_0:
                return 8 * 18;
            case q8_0:
                return 8 * 34;
            case iq2_s:
                return 82;
            case nvfp4:
                return 4 * 36;
            default:
                return 256 * 4;
        }
    }();
    std::string bytes;
    for (std::uint64_t i = 0; i < rows * row_bytes; ++i) {
        // Small bytes, so that every float16 scale is a number.
        bytes += static_cast<char>((i * 7 + seed) % 48);
    }
    return bytes;
}

struct MadeUp {
    std::uint32_t type = q8_0;
    unsigned char seed = 1;
    std::string scale{};  ///< bytes of attn_q.scale; empty: none
    std::uint64_t query_rows = 64;
    std::string architecture = "qwen3";
};

std::string make_file(const MadeUp& what) {
    GgufBytes bytes;
    const std::string prefix = what.architecture + ".";
    bytes.key("general.architecture", what.architecture)
        .key("general.name", "made up")
        .key(prefix + "block_count", 1U)
        .key(prefix + "embedding_length", 256U)
        .key(prefix + "attention.head_count", 2U)
        .key(prefix + "attention.head_count_kv", 1U)
        .key(prefix + "attention.key_length", 32U)
        .key(prefix + "attention.value_length", 32U)
        .tensor("token_embd.weight", {256, 4}, q8_0, make_blocks(q8_0, 4, 9))
        .tensor("output_norm.weight", {256}, f32, make_blocks(f32, 1, 9));
    if (what.architecture == "qwen35") {
        bytes.array(prefix + "attention.recurrent_layers", 7, {std::string(1, '\0')});
    }
    bytes
        .tensor("blk.0.attn_q.weight",
                {256, what.query_rows},
                what.type,
                make_blocks(what.type, what.query_rows, what.seed))
        .tensor("blk.0.attn_k.weight", {256, 32}, what.type, make_blocks(what.type, 32, what.seed))
        .tensor("blk.0.attn_v.weight", {256, 32}, q8_0, make_blocks(q8_0, 32, 9));
    if (!what.scale.empty()) {
        bytes.tensor("blk.0.attn_q.scale", {1}, f32, what.scale);
    }
    return bytes.bytes();
}

class GgufKinds : public ::testing::Test {
protected:
    CommandResult command(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments);
    }

    void make_pair(const MadeUp& pre, const MadeUp& post) {
        pre_ = folder_.write("pre.gguf", make_file(pre));
        post_ = folder_.write("post.gguf", make_file(post));
    }

    CommandResult restore(const std::vector<std::string>& more = {}) {
        std::vector<std::string> arguments{"restore",
                                           "--pre",
                                           pre_.string(),
                                           "--post",
                                           post_.string(),
                                           "--out",
                                           out_.string(),
                                           "--allow",
                                           "unrelated,rotary"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return command(arguments);
    }

    CommandResult verify() {
        return command({"verify",
                        "--pre",
                        pre_.string(),
                        "--post",
                        post_.string(),
                        "--repaired",
                        out_.string()});
    }

    TemporaryFolder folder_;
    fs::path pre_;
    fs::path post_;
    fs::path out_ = folder_.path() / "out.gguf";
};

const std::string one = GgufBytes::number(1.0F);
const std::string two = GgufBytes::number(2.0F);

TEST_F(GgufKinds, RowsOfATypeWithACodebookAreCopied) {
    make_pair({.type = iq2_s, .seed = 1}, {.type = iq2_s, .seed = 2});
    ASSERT_EQ(restore().exit_code, 0);
    const auto digests = tensor_digests(out_);
    EXPECT_EQ(digests.at("blk.0.attn_q.weight"), tensor_digests(pre_).at("blk.0.attn_q.weight"));
    EXPECT_EQ(digests.at("blk.0.attn_v.weight"), tensor_digests(post_).at("blk.0.attn_v.weight"));
    EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(GgufKinds, NoRoundingGoesIntoOrOutOfATypeWithACodebook) {
    make_pair({.type = iq2_s}, {.type = q4_0, .seed = 2});
    const auto out_of = restore();
    EXPECT_EQ(out_of.exit_code, 6);
    EXPECT_THAT(out_of.errors, HasSubstr("IQ2_S in pre and Q4_0 in post"));
    make_pair({.type = q8_0}, {.type = iq2_s, .seed = 2});
    EXPECT_EQ(restore().exit_code, 6);
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(GgufKinds, TheScaleOfAWholeTensorGoesWithAllOfItsRows) {
    make_pair({.type = nvfp4, .seed = 1, .scale = one}, {.type = nvfp4, .seed = 2, .scale = two});
    const auto restored = restore();
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_EQ(tensor_digests(out_).at("blk.0.attn_q.scale"),
              tensor_digests(pre_).at("blk.0.attn_q.scale"));
    EXPECT_EQ(verify().exit_code, 0);
    fs::remove(out_);
    ASSERT_EQ(restore({"--method", "k"}).exit_code, 0);
    EXPECT_EQ(tensor_digests(out_).at("blk.0.attn_q.scale"),
              tensor_digests(post_).at("blk.0.attn_q.scale"));
}

TEST_F(GgufKinds, SomeRowsUnderAnotherScaleHaveNoExactAnswer) {
    MadeUp pre{.type = nvfp4, .seed = 1, .scale = one, .query_rows = 128, .architecture = "qwen35"};
    MadeUp post = pre;
    post.seed = 2;
    post.scale = two;
    make_pair(pre, post);
    const auto refused = restore();
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, HasSubstr("no exact answer exists"));
    post.scale = one;
    make_pair(pre, post);
    EXPECT_EQ(restore().exit_code, 0);
}

TEST_F(GgufKinds, ExactRefusesRoundingAndTheReceiptSaysHowFarItGoes) {
    make_pair({.type = q8_0}, {.type = q4_0, .seed = 2});
    const auto refused = restore({"--exact"});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, HasSubstr("from Q8_0 to Q4_0"));
    const auto restored = restore();
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_THAT(restored.output + restored.errors, HasSubstr("quantised anew"));
    const Json receipt = Json::parse(read_file(out_.string() + ".anamnesis.json"));
    for (const Json& tensor : receipt.at("tensors").as_array("tensors")) {
        EXPECT_EQ(tensor.at("pre_dtype").as_string("pre_dtype"), "Q8_0");
        EXPECT_GT(tensor.at("rounding").as_double("rounding"), 0.0);
        EXPECT_LT(tensor.at("rounding").as_double("rounding"), 0.2);
    }
    EXPECT_EQ(verify().exit_code, 0);
}

/// Blocks hold a number in the place of what is none.
TEST_F(GgufKinds, NaNOfPreIsToldWhereItsTypeIsLost) {
    make_pair({.type = f32}, {.type = q8_0, .seed = 2});
    const checkpoint::TensorEntry query =
        checkpoint::Checkpoint::open(pre_).at("blk.0.attn_q.weight");
    const std::vector<std::byte> ones(16, std::byte{0xFF});
    io::File::open_for_update(pre_).write_at(query.offset, ones);
    const auto restored = restore();
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_THAT(restored.output + restored.errors,
                HasSubstr("pre has 4 values that are NaN or infinite"));
}

TEST_F(GgufKinds, AStampAddsOneKeyAndMovesEveryTensor) {
    make_pair({.seed = 1}, {.seed = 2});
    ASSERT_EQ(restore().exit_code, 0);
    const auto plain = tensor_digests(out_);
    fs::remove(out_);
    ASSERT_EQ(restore({"--stamp"}).exit_code, 0);
    EXPECT_EQ(tensor_digests(out_), plain);
    EXPECT_GT(fs::file_size(out_), fs::file_size(post_));
    const auto proven = verify();
    EXPECT_EQ(proven.exit_code, 0) << proven.output;
    const auto inspected = command({"inspect", "--json", out_.string()});
    const Json made = Json::parse(inspected.output).at("gguf").at("made");
    EXPECT_THAT(made.at("anamnesis.repair").as_string("repair"), HasSubstr("\"method\":\"qk\""));
}

TEST_F(GgufKinds, AChangedKeyIsADeviation) {
    make_pair({.seed = 1}, {.seed = 2});
    ASSERT_EQ(restore().exit_code, 0);
    std::string bytes = read_file(out_);
    bytes.replace(bytes.find("general.name"), 12, "general.namx");
    std::ofstream(out_, std::ios::binary) << bytes;
    const auto refuted = verify();
    EXPECT_NE(refuted.exit_code, 0);
    EXPECT_THAT(refuted.output + refuted.errors, HasSubstr("general.namx"));
}

TEST_F(GgufKinds, FilesThatShareAFolderAreUndoneOneByOne) {
    make_pair({.seed = 1}, {.seed = 2});
    const fs::path other = folder_.path() / "other.gguf";
    fs::copy(post_, other);
    const auto before = snapshot(folder_.path());
    for (const fs::path& post : {post_, other}) {
        ASSERT_EQ(command({"restore",
                           "--pre",
                           pre_.string(),
                           "--post",
                           post.string(),
                           "--in-place",
                           "--allow",
                           "unrelated,rotary"})
                      .exit_code,
                  0);
    }
    EXPECT_EQ(tensor_digests(post_), tensor_digests(other));
    ASSERT_EQ(command({"undo", other.string()}).exit_code, 0);
    EXPECT_NE(tensor_digests(post_), tensor_digests(other));
    ASSERT_EQ(command({"undo", post_.string()}).exit_code, 0);
    EXPECT_EQ(snapshot(folder_.path()), before);
}

TEST_F(GgufKinds, ASetDoesNotTouchTheUndoFileOfAnotherInItsFolder) {
    const fs::path shared = fs::path(ANAMNESIS_TESTDATA) / "gguf/surgery/mistral-split-bf16";
    const fs::path folder = folder_.path() / "sets";
    fs::create_directories(folder);
    for (const std::string stem : {"a", "b"}) {
        for (int number = 1; number <= 3; ++number) {
            fs::copy(shared / "post" / format("model-{:05}-of-00003.gguf", number),
                     folder / format("{}-{:05}-of-00003.gguf", stem, number));
        }
    }
    const auto repair = [&](const std::string& stem) {
        return command({"restore",
                        "--pre",
                        (shared / "pre.gguf").string(),
                        "--post",
                        (folder / (stem + "-00001-of-00003.gguf")).string(),
                        "--in-place"});
    };
    ASSERT_EQ(repair("a").exit_code, 0);
    ASSERT_EQ(repair("a").exit_code, 0);
    const auto before = snapshot(folder);
    const auto refused = repair("b");
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, HasSubstr("undo file of another checkpoint"));
    EXPECT_EQ(snapshot(folder), before);
    EXPECT_EQ(command({"undo", (folder / "a-00002-of-00003.gguf").string()}).exit_code, 0);
    EXPECT_EQ(repair("b").exit_code, 0);
}

TEST_F(GgufKinds, ContainersOutputsAndOptionsThatDoNotFitAreRefused) {
    make_pair({.seed = 1}, {.seed = 2});
    const std::string pair = (fs::path(ANAMNESIS_TESTDATA) / "surgery/qwen3/post").string();
    EXPECT_EQ(command({"restore", "--pre", pre_.string(), "--post", pair, "--out", "x"}).exit_code,
              5);
    EXPECT_EQ(restore({"--clean-names"}).exit_code, 2);
    EXPECT_EQ(restore({"--imatrix", post_.string()}).exit_code, 4);
    out_ = folder_.path() / "folder";
    const auto refused = restore();
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, HasSubstr("one GGUF file"));
}

TEST_F(GgufKinds, InspectShowsTheContainerAndRefusesABrokenOne) {
    make_pair({.seed = 1}, {.seed = 2});
    const auto inspected = command({"inspect", "--json", "--tensors", post_.string()});
    ASSERT_EQ(inspected.exit_code, 0) << inspected.errors;
    const Json json = Json::parse(inspected.output);
    EXPECT_THAT(find_deviations(json, read_schema("inspect")), ::testing::IsEmpty());
    EXPECT_EQ(json.at("gguf").at("architecture").as_string("architecture"), "qwen3");
    const fs::path malformed = fs::path(ANAMNESIS_TESTDATA) / "gguf/malformed";
    const Json cases = Json::parse(read_file(malformed / "cases.json"));
    for (const Json& entry : cases.as_array("cases")) {
        const bool is_read = entry.at("must").as_string("must") == "read";
        const auto looked =
            command({"inspect", (malformed / entry.at("file").as_string("file")).string()});
        EXPECT_EQ(looked.exit_code, is_read ? 0 : 4) << entry.at("file").as_string("file");
    }
}

TEST_F(GgufKinds, DoctorFindsAScaleThatIsNoNumber) {
    make_pair({.seed = 1}, {.seed = 2});
    const auto checkpoint = checkpoint::Checkpoint::open(post_);
    const auto& tensor = checkpoint.at("blk.0.attn_v.weight");
    std::string bytes = read_file(post_);
    bytes[tensor.offset + 34] = '\x01';
    bytes[tensor.offset + 35] = '\x7E';  // the float16 scale of the second block
    std::ofstream(post_, std::ios::binary) << bytes;
    const auto examined = command({"doctor", post_.string()});
    EXPECT_EQ(examined.exit_code, 1);
    EXPECT_THAT(examined.output, HasSubstr("32 NaN"));
    EXPECT_THAT(examined.output, HasSubstr("row 0, column 32 of 'blk.0.attn_v.weight'"));
}

}  // namespace
}  // namespace anamnesis::testing
