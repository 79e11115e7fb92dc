// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {

inline CommandResult run_anamnesis(std::vector<std::string> arguments,
                                   const CommandOptions& options = {}) {
    arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
    return run_command(arguments, options);
}

/// The lines of OUT/metrics.jsonl.
inline Json::Array read_metrics(const std::filesystem::path& out) {
    Json::Array lines;
    for (const std::string& line : split(io::read_text(out / "metrics.jsonl"), '\n')) {
        if (!line.empty()) {
            lines.push_back(Json::parse(line));
        }
    }
    return lines;
}

/// Waits until a file that is being written has so many whole lines, five minutes at most.
inline void wait_for_lines(const std::filesystem::path& path, std::size_t lines) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
    const auto has_them = [&] {
        return std::filesystem::exists(path) &&
               static_cast<std::size_t>(std::ranges::count(io::read_text(path), '\n')) >= lines;
    };
    while (!has_them() && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

inline std::vector<double> read_values(const formats::SafetensorsFile& file,
                                       const formats::TensorInfo& tensor) {
    std::vector<std::byte> bytes(tensor.data.size());
    file.file().read_at(file.data_begin() + tensor.data.begin(), bytes);
    std::vector<double> values(bytes.size() / element_bytes(tensor.dtype));
    widen(tensor.dtype, bytes, values);
    return values;
}

/// Every tensor of `expected` is in `actual`, to a relative root mean square.
inline void expect_near_weights(const std::filesystem::path& actual,
                                const std::filesystem::path& expected,
                                double tolerance) {
    const auto left = formats::SafetensorsFile::open(actual);
    const auto right = formats::SafetensorsFile::open(expected);
    ASSERT_EQ(left.tensors().size(), right.tensors().size());
    for (const formats::TensorInfo& tensor : right.tensors()) {
        const formats::TensorInfo* found = left.find(tensor.name);
        ASSERT_NE(found, nullptr) << tensor.name;
        const std::vector<double> a = read_values(left, *found);
        const std::vector<double> b = read_values(right, tensor);
        ASSERT_EQ(a.size(), b.size()) << tensor.name;
        double error = 0.0;
        double size = 0.0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            error += std::pow(a[i] - b[i], 2.0);
            size += std::pow(b[i], 2.0);
        }
        EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(size)) << tensor.name;
    }
}

}  // namespace anamnesis::testing
