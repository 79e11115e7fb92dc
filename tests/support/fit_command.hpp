// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "demo_pair.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A text of tokens below `vocabulary`, of which the last `predicted` are learned.
inline std::string make_row(std::uint32_t seed, std::uint32_t length, std::uint32_t predicted) {
    constexpr std::uint32_t vocabulary = 32;
    std::string ids;
    std::string labels;
    std::uint32_t state = seed * 2'654'435'761U + 1;
    for (std::uint32_t i = 0; i < length; ++i) {
        state = state * 1'664'525U + 1'013'904'223U;
        const std::uint32_t token = (state >> 16U) % vocabulary;
        ids += format("{}{}", i == 0 ? "" : ",", token);
        labels += format(
            "{}{}", i == 0 ? "" : ",", i + predicted >= length ? std::to_string(token) : "-100");
    }
    return format("{{\"input_ids\":[{}],\"labels\":[{}]}}\n", ids, labels);
}

/// Pairs and texts for `restore --method fit`, and the commands that the tests ask.
class Fit : public ::testing::Test {
protected:
    static CommandResult command(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments);
    }

    /// The pair that ships with the demo.
    void use_demo_pair() {
        write_demo_pair(folder_.path());
        recall_ = testdata_ / "fit" / "moments" / "recall.jsonl";
        chains_ = testdata_ / "fit" / "moments" / "chains.jsonl";
    }

    /// A tiny model of random weights as post, the same with every weight a little off as pre, and
    /// texts of random tokens.
    void use_random_pair(const std::string& model, std::uint32_t texts = 6) {
        for (const char* side : {"pre", "post"}) {
            std::filesystem::remove_all(folder_.path() / side);
            std::filesystem::copy(testdata_ / "models" / model,
                                  folder_.path() / side,
                                  std::filesystem::copy_options::recursive);
        }
        disturb(pre_);
        std::string recall;
        std::string chains;
        for (std::uint32_t i = 0; i < texts; ++i) {
            recall += make_row(i, 40, 8);
            chains += make_row(100 + i, 24, 16);
        }
        recall_ = folder_.write("recall.jsonl", recall);
        chains_ = folder_.write("chains.jsonl", chains);
    }

    /// Flips a bit in the middle of every float32 or bfloat16 mantissa.
    static void disturb(const std::filesystem::path& folder) {
        const auto checkpoint = checkpoint::Checkpoint::open(folder);
        for (const checkpoint::TensorEntry& tensor : checkpoint.tensors()) {
            const std::size_t width = tensor.dtype == DType::f32 ? 4 : 2;
            std::vector<char> bytes(tensor.bytes);
            tensor.read_at(0, std::as_writable_bytes(std::span(bytes)));
            for (std::size_t i = 0; i < bytes.size(); i += width) {
                bytes[i + width - 2] = static_cast<char>(bytes[i + width - 2] ^ 0x20);
            }
            std::fstream file(checkpoint.files()[tensor.file].path(),
                              std::ios::binary | std::ios::in | std::ios::out);
            file.seekp(static_cast<std::streamoff>(tensor.offset));
            file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        }
    }

    CommandResult restore(const std::vector<std::string>& options, bool calibrates = true) {
        std::vector<std::string> arguments{
            "restore", "--pre", pre_.string(), "--post", post_.string(), "--method", "fit"};
        if (calibrates) {
            arguments.insert(
                arguments.end(),
                {"--calibrate-recall", recall_.string(), "--calibrate-chains", chains_.string()});
        }
        arguments.insert(arguments.end(), options.begin(), options.end());
        return command(arguments);
    }

    CommandResult verify(const std::filesystem::path& repaired,
                         const std::vector<std::string>& options = {}) {
        std::vector<std::string> arguments{"verify",
                                           "--pre",
                                           pre_.string(),
                                           "--post",
                                           post_.string(),
                                           "--repaired",
                                           repaired.string(),
                                           "--json"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        return command(arguments);
    }

    const std::filesystem::path testdata_ = ANAMNESIS_TESTDATA;
    TemporaryFolder folder_;
    std::filesystem::path pre_ = folder_.path() / "pre";
    std::filesystem::path post_ = folder_.path() / "post";
    std::filesystem::path out_ = folder_.path() / "out";
    std::filesystem::path recall_{};
    std::filesystem::path chains_{};
};

}  // namespace anamnesis::testing
