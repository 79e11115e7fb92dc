// SPDX-License-Identifier: Apache-2.0
// Values and blocks of llama.cpp, bit for bit (testdata/gguf/README.md).
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis {
namespace {

class Golden {
public:
    explicit Golden(const std::string& name)
        : file_(formats::SafetensorsFile::open(std::filesystem::path(ANAMNESIS_TESTDATA) / "gguf" /
                                               name)) {}

    const std::vector<formats::TensorInfo>& tensors() const { return file_.tensors(); }

    std::vector<std::byte> bytes(const std::string& name) const {
        const formats::TensorInfo* tensor = file_.find(name);
        std::vector<std::byte> result(tensor == nullptr ? 0 : tensor->data.size());
        if (tensor != nullptr) {
            file_.file().read_at(file_.data_begin() + tensor->data.begin(), result);
        }
        return result;
    }

    std::vector<float> values(const std::string& name) const {
        const std::vector<std::byte> raw = bytes(name);
        std::vector<float> result(raw.size() / sizeof(float));
        std::ranges::copy(raw, std::as_writable_bytes(std::span(result)).begin());
        return result;
    }

private:
    formats::SafetensorsFile file_;
};

DType dtype_after_dot(const std::string& name) {
    return find_dtype(std::string_view(name).substr(name.find('.') + 1)).value();
}

TEST(BlockValuesGolden, DequantisesBitForBit) {
    const Golden golden("dequantise/blocks.safetensors");
    std::size_t types = 0;
    std::size_t refused = 0;
    for (const formats::TensorInfo& tensor : golden.tensors()) {
        const DType dtype = dtype_after_dot(tensor.name);
        if (!tensor.name.starts_with("blocks.") || !is_block_quantised(dtype)) {
            continue;
        }
        SCOPED_TRACE(tensor.name);
        const auto expected = golden.values("values." + std::string(to_string(dtype)));
        std::vector<float> found(expected.size());
        if (!can_dequantise(dtype)) {
            ++refused;
            EXPECT_THROW(dequantise(dtype, golden.bytes(tensor.name), found), Error);
            continue;
        }
        dequantise(dtype, golden.bytes(tensor.name), found);
        ++types;
        for (std::size_t i = 0; i < found.size(); ++i) {
            ASSERT_EQ(std::bit_cast<std::uint32_t>(found[i]),
                      std::bit_cast<std::uint32_t>(expected[i]))
                << "value " << i;
        }
    }
    EXPECT_EQ(types, 19U);
    EXPECT_EQ(refused, 7U);
}

/// Rows of `prefix`.TYPE that differ from what is written here.
void expect_equal_rows(const Golden& golden,
                       const std::string& prefix,
                       std::span<const float> importance,
                       std::size_t expected_types) {
    const std::vector<float> input = golden.values("input");
    constexpr std::size_t width = 256;
    std::size_t types = 0;
    for (const formats::TensorInfo& tensor : golden.tensors()) {
        if (!tensor.name.starts_with(prefix) || !can_quantise(dtype_after_dot(tensor.name))) {
            continue;
        }
        SCOPED_TRACE(tensor.name);
        const std::vector<std::byte> expected = golden.bytes(tensor.name);
        const std::size_t row_bytes = expected.size() / (input.size() / width);
        std::vector<std::byte> found(row_bytes);
        ++types;
        for (std::size_t row = 0; row < input.size() / width; ++row) {
            quantise(dtype_after_dot(tensor.name),
                     std::span(input).subspan(row * width, width),
                     found,
                     importance);
            for (std::size_t i = 0; i < row_bytes; ++i) {
                EXPECT_EQ(found[i], expected[row * row_bytes + i])
                    << "row " << row << " byte " << i;
                if (found[i] != expected[row * row_bytes + i]) {
                    break;
                }
            }
        }
    }
    EXPECT_EQ(types, expected_types);
}

TEST(BlockValuesGolden, QuantisesBitForBit) {
    expect_equal_rows(Golden("quantise/rows.safetensors"), "plain.", {}, 17);
}

TEST(BlockValuesGolden, QuantisesWithImportanceBitForBit) {
    const Golden golden("quantise/rows.safetensors");
    expect_equal_rows(golden, "weighted.", golden.values("imatrix"), 12);
}

}  // namespace
}  // namespace anamnesis
