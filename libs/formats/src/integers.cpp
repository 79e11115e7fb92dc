// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/integers.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis::formats {
namespace {

template <class Integer>
std::vector<std::int64_t> widen(std::span<const std::byte> bytes) {
    std::vector<Integer> stored(bytes.size() / sizeof(Integer));
    std::memcpy(stored.data(), bytes.data(), stored.size() * sizeof(Integer));
    return {stored.begin(), stored.end()};
}

}  // namespace

std::vector<std::int64_t> read_integers(const SafetensorsFile& file, const TensorInfo& tensor) {
    ANAMNESIS_CHECK(tensor.dtype == DType::i64 || tensor.dtype == DType::i32,
                    "a tensor of integers is asked for its integers");
    std::vector<std::byte> bytes(tensor.data.size());
    file.file().read_at(file.data_begin() + tensor.data.begin(), bytes);
    return tensor.dtype == DType::i64 ? widen<std::int64_t>(bytes) : widen<std::int32_t>(bytes);
}

}  // namespace anamnesis::formats
