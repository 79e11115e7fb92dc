// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/array_file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/integers.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::runtime {
InputIds read_input_ids(const std::string& path) {
    const auto file = formats::SafetensorsFile::open(path);
    const formats::TensorInfo* tensor = file.find("input_ids");
    if (tensor == nullptr) {
        throw Error(ErrorKind::not_found,
                    format("there is no tensor 'input_ids' in {}", in_quotes(path)));
    }
    const bool is_integer = tensor->dtype == DType::i64 || tensor->dtype == DType::i32;
    if (!is_integer || tensor->shape.size() != 2) {
        throw Error(ErrorKind::mismatch,
                    format("tensor 'input_ids' of {} is {} of shape {}, expected I64 or I32 of "
                           "shape [B, T]",
                           in_quotes(path),
                           to_string(tensor->dtype),
                           to_string(tensor->shape)));
    }
    return {.ids = formats::read_integers(file, *tensor), .shape = tensor->shape};
}

void write_arrays(const std::string& path, const std::vector<NamedArray>& arrays) {
    std::vector<formats::TensorSpec> tensors;
    for (const NamedArray& array : arrays) {
        tensors.push_back({.name = array.name, .dtype = DType::f32, .shape = array.shape});
    }
    const auto prologue = formats::make_safetensors_prologue(tensors, {});
    io::AtomicFile file{path};
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        file.file().write_at(prologue.bytes.size() + prologue.offsets[i],
                             std::as_bytes(std::span(arrays[i].values)));
    }
    file.commit();
}

Json describe(const std::vector<NamedArray>& arrays) {
    Json list = Json::array();
    for (const NamedArray& array : arrays) {
        Json shape = Json::array();
        for (const std::uint64_t size : array.shape) {
            shape.push_back(size);
        }
        list.push_back(Json::Object{{"name", array.name}, {"shape", std::move(shape)}});
    }
    return list;
}

}  // namespace anamnesis::runtime
