// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/adapter_inspection.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/plain_tensor.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/merged_view.hpp"
#include "anamnesis/restore/request.hpp"

#include "gguf_bytes.hpp"
#include "renamed_tensors.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;
using checkpoint::AdapterPair;
using checkpoint::PrefixRule;
using checkpoint::Severity;
using ::testing::AllOf;
using ::testing::Contains;
using testing::GgufBytes;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path root = fs::path(ANAMNESIS_TESTDATA) / "lora/rslora";
constexpr const char* weights_name = "adapter_model.safetensors";

std::vector<std::string> list_codes(const std::vector<checkpoint::Finding>& findings) {
    std::vector<std::string> codes;
    for (const checkpoint::Finding& finding : findings) {
        codes.push_back(finding.code);
    }
    return codes;
}

/// Two rows of multiples of a half, in float32 or in Q8_0, which holds them exactly.
std::string make_a(std::size_t columns, bool is_quantised) {
    std::string bytes;
    for (std::size_t row = 0; row < 2; ++row) {
        for (std::size_t column = 0; column < columns; ++column) {
            if (is_quantised && column % 32 == 0) {
                bytes += GgufBytes::number(std::uint16_t{0x3800});
            }
            const int value = static_cast<int>((column * 5 + row * 11) % 17) - 8;
            bytes += is_quantised ? GgufBytes::number(static_cast<std::int8_t>(value))
                                  : GgufBytes::number(0.5F * static_cast<float>(value));
        }
    }
    return bytes;
}

/// B for `rows` rows, in float32.
std::string make_b(std::size_t rows) {
    std::string bytes;
    for (std::size_t i = 0; i < 2 * rows; ++i) {
        bytes += GgufBytes::number(0.25F * static_cast<float>(i % 5));
    }
    return bytes;
}

/// An adapter of llama.cpp, of rank 2 and without alpha, on W_Q of the first layer.
std::string make_adapter(std::size_t rows, std::size_t columns, bool is_quantised) {
    constexpr std::uint32_t f32 = 0;
    constexpr std::uint32_t q8_0 = 8;
    return GgufBytes()
        .key("general.architecture", "qwen3")
        .key("general.type", "adapter")
        .key("adapter.type", "lora")
        .tensor("blk.0.attn_q.weight.lora_a",
                {columns, 2},
                is_quantised ? q8_0 : f32,
                make_a(columns, is_quantised))
        .tensor("blk.0.attn_q.weight.lora_b", {2, rows}, f32, make_b(rows))
        .bytes();
}

std::vector<std::byte> read_all(const checkpoint::TensorEntry& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    return bytes;
}

TEST(AdapterInspection, MeasuresAndRunsFactorsInBlocksAsTheirValues) {
    const testing::TemporaryFolder folder;
    const fs::path base = root / "gguf/base.gguf";
    const fs::path plain = folder.write("plain.gguf", make_adapter(32, 32, false));
    const fs::path packed = folder.write("packed.gguf", make_adapter(32, 32, true));
    const auto measure = [&](const fs::path& adapter) {
        const AdapterPair pair(checkpoint::open_adapter(adapter),
                               checkpoint::open_recognised(base),
                               PrefixRule::loaders);
        return inspect_adapter(pair.match).bends;
    };
    const std::vector<Bend> expected = measure(plain);
    const std::vector<Bend> found = measure(packed);
    ASSERT_EQ(expected.size(), 1U);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_GT(expected.front().difference, 0.0);
    EXPECT_DOUBLE_EQ(found.front().difference, expected.front().difference);
    EXPECT_DOUBLE_EQ(found.front().drift, expected.front().drift);

    const auto run = [&](const fs::path& adapter) {
        const checkpoint::RecognisedCheckpoint seen =
            view_with_adapter(checkpoint::open_adapter(adapter), checkpoint::open_recognised(base));
        return read_all(seen.checkpoint.at("blk.0.attn_q.weight"));
    };
    EXPECT_EQ(run(packed), run(plain));
    EXPECT_NE(run(packed), read_all(checkpoint::Checkpoint::open(base).at("blk.0.attn_q.weight")));
}

TEST(AdapterInspection, MeasuresAgainstABaseInBlocks) {
    const testing::TemporaryFolder folder;
    const fs::path base = fs::path(ANAMNESIS_TESTDATA) / "gguf/surgery/qwen3-q5_k_m/pre.gguf";
    const AdapterPair pair(
        checkpoint::open_adapter(folder.write("adapter.gguf", make_adapter(128, 256, false))),
        checkpoint::open_recognised(base),
        PrefixRule::loaders);
    const std::vector<Bend> bends = inspect_adapter(pair.match).bends;
    ASSERT_EQ(bends.size(), 1U);
    const checkpoint::TensorEntry before =
        checkpoint::make_plain(pair.base.checkpoint.at("blk.0.attn_q.weight"));
    const std::vector<std::byte> bytes = read_all(before);
    std::vector<double> values(count_elements(before.dtype, bytes.size()));
    widen(before.dtype, bytes, values);
    double squares = 0.0;
    for (const double value : values) {
        squares += value * value;
    }
    EXPECT_GT(bends.front().difference, 0.0);
    EXPECT_NEAR(bends.front().drift,
                bends.front().difference / std::sqrt(squares),
                1e-12 * bends.front().drift);
}

TEST(AdapterInspection, OfFactorsInBlocksRefusesToScaleThem) {
    const testing::TemporaryFolder folder;
    const std::string packed =
        GgufBytes()
            .key("general.architecture", "qwen3")
            .key("general.type", "adapter")
            .key("adapter.type", "lora")
            .tensor("blk.0.attn_q.weight.lora_a", {32, 32}, 0, std::string(4096, '\0'))
            .tensor("blk.0.attn_q.weight.lora_b", {32, 32}, 8, std::string(34 * 32, '\0'))
            .tensor("blk.0.ffn_up.weight.lora_a", {32, 2}, 0, std::string(256, '\0'))
            .tensor("blk.0.ffn_up.weight.lora_b", {2, 48}, 0, std::string(384, '\0'))
            .bytes();
    const AdapterPair pair(checkpoint::open_adapter(folder.write("packed.gguf", packed)),
                           checkpoint::open_recognised(root / "gguf/base.gguf"),
                           PrefixRule::loaders);
    Request request;
    EXPECT_EQ(make_adapter_plan(pair.match, request).count_removed(), 2U);
    request.selection.method = Method::lerp;
    request.alpha = 0.5;
    try {
        static_cast<void>(make_adapter_plan(pair.match, request));
        ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.message(), AllOf(HasSubstr("attn_q"), HasSubstr("Q8_0")));
    }
}

TEST(AdapterInspection, OfAGgufAdapterNotesThatItIsNotMerged) {
    const checkpoint::Adapter adapter = checkpoint::open_adapter(root / "gguf/adapter.gguf");
    const AdapterInspection inspection = inspect_adapter(adapter);
    ASSERT_EQ(inspection.findings.size(), 1U);
    EXPECT_EQ(inspection.findings.front().code, "adapter_variant");
    EXPECT_EQ(inspection.findings.front().severity, Severity::note);
    EXPECT_FALSE(checkpoint::has_warnings(inspection.findings));
}

TEST(AdapterInspection, OfAGgufAdapterWithoutAlphaTellsAScaleOfOne) {
    const testing::TemporaryFolder folder;
    const checkpoint::Adapter adapter =
        checkpoint::open_adapter(folder.write("adapter.gguf", make_adapter(32, 32, false)));
    const AdapterInspection inspection = inspect_adapter(adapter);
    EXPECT_THAT(to_text(inspection), HasSubstr("rank 2, no alpha, scale 1.0000;"));
    EXPECT_EQ(to_json(inspection).at("scale").as_double("scale"), 1.0);
    ASSERT_EQ(inspection.coverage.size(), 1U);
    ASSERT_EQ(inspection.coverage.front().modules.size(), 1U);
    EXPECT_TRUE(inspection.coverage.front().modules.front().scales.contains(1.0));
}

TEST(AdapterInspection, TellsAFileWithoutTensors) {
    const testing::TemporaryFolder folder;
    const fs::path weights = folder.write(weights_name, testing::make_safetensors({}));
    fs::copy(root / "adapter/adapter_config.json", folder.path() / "adapter_config.json");
    const AdapterPair pair(checkpoint::open_adapter(folder.path()),
                           checkpoint::open_recognised(root / "base"),
                           PrefixRule::loaders);
    EXPECT_THAT(list_codes(inspect_adapter(pair.adapter).findings), Contains("adapter_misfit"));
    EXPECT_THAT(list_codes(inspect_adapter(pair.match).findings), Contains("adapter_misfit"));
    try {
        checkpoint::refuse_unfit(pair.match, checkpoint::AdapterUse::repair, false);
        ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(),
                    AllOf(HasSubstr(weights.string()), HasSubstr("holds no tensors")));
    }
}

TEST(AdapterInspection, TellsWrappersOfTrainingCodeInNames) {
    const testing::TemporaryFolder folder;
    const fs::path copy = folder.path() / "adapter";
    fs::copy(root / "adapter", copy);
    testing::rename_tensors_of_file(copy / weights_name, [](std::string name) {
        const std::string peft = "base_model.model.";
        return peft + "_orig_mod." + name.substr(peft.size());
    });
    const AdapterPair pair(checkpoint::open_adapter(copy),
                           checkpoint::open_recognised(root / "base"),
                           PrefixRule::loaders);
    EXPECT_TRUE(pair.match.unmatched.empty());
    for (const std::vector<checkpoint::Finding>& findings :
         {inspect_adapter(pair.adapter).findings, pair.match.findings}) {
        ASSERT_EQ(findings.size(), 1U);
        EXPECT_EQ(findings.front().code, "wrapped_names");
        EXPECT_EQ(findings.front().severity, Severity::warning);
        EXPECT_EQ(findings.front().count, pair.adapter.weights.tensors().size());
        EXPECT_THAT(
            findings.front().sentence,
            AllOf(HasSubstr("the wrapper '_orig_mod.' of"), HasSubstr("base_model.model._orig")));
    }
    const checkpoint::Adapter clean = checkpoint::open_adapter(root / "adapter");
    EXPECT_THAT(list_codes(inspect_adapter(clean).findings), Not(Contains("wrapped_names")));
}

}  // namespace
}  // namespace anamnesis::restore
