// SPDX-License-Identifier: Apache-2.0
//
// QK-Pro on every family, by its two limits: lambda 0 is qk where the keys have full rank, an
// infinite one is k. The goldens' NaN and infinities are taken out first.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;

/// Exponents of all ones become zeros: no NaN, no infinity.
void make_finite(const fs::path& folder) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder);
    for (const auto& file : checkpoint.files()) {
        std::string bytes = read_file(file.path());
        for (const auto& tensor : checkpoint.tensors()) {
            if (checkpoint.files()[tensor.file].path() != file.path()) {
                continue;
            }
            char* data = bytes.data() + tensor.offset;
            const auto clear = [&]<class Bits>(Bits exponent) {
                for (std::size_t i = 0; i < tensor.bytes; i += sizeof(Bits)) {
                    Bits value = 0;
                    std::memcpy(&value, data + i, sizeof value);
                    if ((value & exponent) == exponent) {
                        std::memset(data + i, 0, sizeof value);
                    }
                }
            };
            if (tensor.dtype == DType::bf16) {
                clear(std::uint16_t{0x7F80});
            } else if (tensor.dtype == DType::f16) {
                clear(std::uint16_t{0x7C00});
            } else if (tensor.dtype == DType::f32) {
                clear(std::uint32_t{0x7F800000});
            }
        }
        std::ofstream(file.path(), std::ios::binary) << bytes;
    }
}

class ProLimits : public ::testing::TestWithParam<std::string> {
protected:
    ProLimits() {
        for (const char* side : {"pre", "post"}) {
            fs::copy(fs::path(ANAMNESIS_TESTDATA) / "surgery" / GetParam() / side,
                     folder_.path() / side,
                     fs::copy_options::recursive);
            make_finite(folder_.path() / side);
        }
    }
    CommandResult restore(const std::string& name, const std::vector<std::string>& options) {
        std::vector<std::string> arguments{ANAMNESIS_BINARY,
                                           "restore",
                                           "--pre",
                                           (folder_.path() / "pre").string(),
                                           "--post",
                                           (folder_.path() / "post").string(),
                                           "--out",
                                           (folder_.path() / name).string()};
        arguments.insert(arguments.end(), options.begin(), options.end());
        return run_command(arguments);
    }

    TemporaryFolder folder_;
};

TEST_P(ProLimits, AreQkAndK) {
    const auto pro = restore("pro", {"--method", "pro", "--lambda", "0,inf"});
    ASSERT_EQ(pro.exit_code, 0) << pro.errors;
    ASSERT_EQ(restore("qk", {"--method", "qk"}).exit_code, 0);
    ASSERT_EQ(restore("k", {"--method", "k"}).exit_code, 0);
    EXPECT_EQ(tensor_digests(folder_.path() / "pro-lambda-0"),
              tensor_digests(folder_.path() / "qk"));
    EXPECT_EQ(tensor_digests(folder_.path() / "pro-lambda-inf"),
              tensor_digests(folder_.path() / "k"));
}

INSTANTIATE_TEST_SUITE_P(Families,
                         ProLimits,
                         ::testing::Values("bailing_hybrid",
                                           "bamba",
                                           "falcon_h1",
                                           "gemma3_text",
                                           "gpt_neox",
                                           "gpt_oss",
                                           "granitemoehybrid",
                                           "hypenet",
                                           "jamba",
                                           "jet_nemotron",
                                           "kimi_linear",
                                           "lfm2",
                                           "llama",
                                           "minimax",
                                           "nemotron_h",
                                           "olmo_hybrid",
                                           "phi3",
                                           "qwen2",
                                           "qwen3",
                                           "qwen3_5",
                                           "qwen3_5_text",
                                           "qwen3_5_text_to_wrapper",
                                           "qwen3_next",
                                           "zamba2"),
                         [](const auto& instance) { return instance.param; });

TEST(ProRefusals, NameWhatHasNoClosedForm) {
    const TemporaryFolder folder;
    const auto refusal = [&](const std::string& family) {
        const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "surgery" / family;
        return run_command({ANAMNESIS_BINARY,
                            "restore",
                            "--pre",
                            (pair / "pre").string(),
                            "--post",
                            (pair / "post").string(),
                            "--method",
                            "pro",
                            "--out",
                            (folder.path() / family).string()});
    };
    const auto low_rank = refusal("deepseek_v3");
    EXPECT_EQ(low_rank.exit_code, 5);
    EXPECT_THAT(low_rank.errors, ::testing::HasSubstr("q_a_proj"));
    const auto quantised = refusal("fp8_block16");
    EXPECT_EQ(quantised.exit_code, 6);
    EXPECT_THAT(quantised.errors, ::testing::HasSubstr("F8_E4M3"));
}

}  // namespace
}  // namespace anamnesis::testing
