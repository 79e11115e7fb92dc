// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"

#include "folder_snapshot.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {

namespace fs = std::filesystem;

inline const fs::path own_cases = fs::path(ANAMNESIS_TESTDATA) / "lora";

inline const fs::path shared_cases = fs::path(ANAMNESIS_SHARED) / "data/golden/surgery/lora";

inline CommandResult run(std::vector<std::string> words) {
    words.insert(words.begin(), ANAMNESIS_BINARY);
    return run_command(words);
}

inline std::vector<double> read_values(const checkpoint::Checkpoint& source,
                                       const std::string& name) {
    const checkpoint::TensorEntry& tensor = source.at(name);
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    std::vector<double> values(count_elements(tensor.dtype, tensor.bytes));
    widen(tensor.dtype, bytes, values);
    return values;
}

inline std::map<std::string, std::string> read_digests(const Json& object) {
    std::map<std::string, std::string> digests;
    for (const auto& [name, digest] : object.as_object("digests")) {
        digests[name] = digest.as_string("digest");
    }
    return digests;
}

class Adapters : public ::testing::Test {
protected:
    std::string out(const std::string& name) const { return (folder_.path() / name).string(); }

    CommandResult repair(const fs::path& root,
                         const std::string& name,
                         std::vector<std::string> more = {}) {
        std::vector<std::string> words{"restore",
                                       "--pre",
                                       (root / "base").string(),
                                       "--post",
                                       (root / "adapter").string(),
                                       "--out",
                                       out(name)};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    }

    CommandResult merge(const fs::path& root,
                        const std::string& name,
                        std::vector<std::string> more = {}) {
        std::vector<std::string> words{"restore",
                                       "--pre",
                                       (root / "base").string(),
                                       "--adapter",
                                       (root / "adapter").string(),
                                       "--out",
                                       out(name)};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    }

    CommandResult verify(const fs::path& root, const std::string& option, const std::string& name) {
        return run({"verify",
                    "--quiet",
                    "--pre",
                    (root / "base").string(),
                    option,
                    (root / "adapter").string(),
                    "--repaired",
                    out(name)});
    }

    /// The repaired adapter holds what the case says, byte for byte, and its proof holds.
    void check_repair(const fs::path& root) {
        const Json expected = Json::parse(io::read_text(root / "expected/adapter.json")).at("qk");
        const auto kept = read_digests(expected.at("kept"));
        const CommandResult result = repair(root, "repaired");
        if (kept.empty()) {
            EXPECT_EQ(result.exit_code, 6);
            EXPECT_THAT(result.errors, ::testing::HasSubstr("the repaired model is the base"));
            return;
        }
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        EXPECT_EQ(tensor_digests(folder_.path() / "repaired/adapter_model.safetensors"), kept);
        EXPECT_EQ(io::read_text(folder_.path() / "repaired/adapter_config.json"),
                  io::read_text(root / "adapter/adapter_config.json"));
        EXPECT_EQ(verify(root, "--post", "repaired").exit_code, 0);
    }

    /// Every tensor of the merged checkpoint is the expected one; of those that a sum made, each
    /// value lies within a unit in the last place.
    void check_merge(const fs::path& root) {
        const CommandResult result = merge(root, "merged");
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        const auto wanted = read_digests(
            Json::parse(io::read_text(root / "expected/merged.qk.json")).at("merged_digests"));
        const auto found = tensor_digests(folder_.path() / "merged");
        const auto merged = checkpoint::Checkpoint::open(folder_.path() / "merged");
        const auto sums = checkpoint::Checkpoint::open(root / "expected/merged.qk.safetensors");
        ASSERT_EQ(found.size(), wanted.size());
        for (const auto& [name, digest] : wanted) {
            if (found.at(name) == digest) {
                continue;
            }
            ASSERT_NE(sums.find(name), nullptr) << name << " is the base's own";
            const double unit = merged.at(name).dtype == DType::bf16 ? 0x1p-7 : 0x1p-23;
            const auto values = read_values(merged, name);
            const auto expected = read_values(sums, name);
            for (std::size_t i = 0; i < values.size(); ++i) {
                ASSERT_LE(std::abs(values[i] - expected[i]), std::abs(expected[i]) * unit)
                    << name << " " << i;
            }
        }
        EXPECT_EQ(verify(root, "--adapter", "merged").exit_code, 0);
    }

    void check_case(const fs::path& root) {
        SCOPED_TRACE(root.string());
        check_repair(root);
        check_merge(root);
        fs::remove_all(folder_.path() / "repaired");
        fs::remove_all(folder_.path() / "merged");
    }

    TemporaryFolder folder_;
};

}  // namespace anamnesis::testing
