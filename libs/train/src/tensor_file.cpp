// SPDX-License-Identifier: Apache-2.0
#include "tensor_file.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"

namespace anamnesis::train {

std::span<const std::byte> as_bytes(const at::Tensor& tensor) {
    ANAMNESIS_CHECK(tensor.is_cpu() && tensor.is_contiguous(), "a contiguous tensor on the host");
    return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

void write_tensors(const std::filesystem::path& path,
                   const NamedTensors& tensors,
                   const std::vector<std::pair<std::string, std::string>>& metadata) {
    std::vector<formats::TensorSpec> specs;
    for (const auto& [name, tensor] : tensors) {
        specs.push_back({.name = name,
                         .dtype = runtime::to_dtype(tensor.scalar_type()),
                         .shape = Shape(tensor.sizes().begin(), tensor.sizes().end())});
    }
    const auto prologue = formats::make_safetensors_prologue(specs, metadata);
    io::AtomicFile file{path};
    file.file().reserve(prologue.bytes.size() + prologue.data_bytes);
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    std::size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
        const at::Tensor host = tensor.to(at::kCPU).contiguous();
        file.file().write_at(prologue.bytes.size() + prologue.offsets[i], as_bytes(host));
        ++i;
    }
    file.commit();
}

NamedTensors read_tensors(const formats::SafetensorsFile& file) {
    NamedTensors tensors;
    for (const formats::TensorInfo& info : file.tensors()) {
        const std::vector<std::int64_t> sizes(info.shape.begin(), info.shape.end());
        at::Tensor tensor = at::empty(sizes, runtime::to_scalar_type(info.dtype));
        file.file().read_at(file.data_begin() + info.data.begin(),
                            {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
        tensors.emplace(info.name, std::move(tensor));
    }
    return tensors;
}

}  // namespace anamnesis::train
