// SPDX-License-Identifier: Apache-2.0
#include "weights.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/mapped_file.hpp"

#include "cpu_packed.hpp"

namespace anamnesis::runtime {
namespace {

/// Fills `target` with a tensor that is computed as it is read, rows on all threads.
void read_in_parallel(const checkpoint::TensorEntry& entry, std::byte* target) {
    const std::uint64_t row_bytes = entry.bytes / std::max<std::uint64_t>(entry.rows(), 1);
    constexpr std::int64_t rows_at_once = 16;
    at::parallel_for(0,
                     static_cast<std::int64_t>(entry.rows()),
                     rows_at_once,
                     [&](std::int64_t begin, std::int64_t end) {
                         const std::uint64_t offset = static_cast<std::uint64_t>(begin) * row_bytes;
                         const std::uint64_t size =
                             static_cast<std::uint64_t>(end - begin) * row_bytes;
                         entry.read_at(offset, std::span(target + offset, size));
                     });
}

}  // namespace

Weights::Weights(const checkpoint::Checkpoint& checkpoint, const WeightOptions& options)
    : checkpoint_(checkpoint),
      options_(options),
      activation_type_(options.dtype == at::kDouble ? at::kDouble : at::kFloat) {
    for (const checkpoint::WeightFile& file : checkpoint.files()) {
        files_.push_back(std::make_shared<io::MappedFile>(io::MappedFile::open(file.path())));
        if (files_.back()->bytes().size() != file.bytes) {
            throw Error(ErrorKind::malformed,
                        format("{} changed its size while it was opened", file.path().string()));
        }
    }
}

bool Weights::has(const std::string& name) const {
    return checkpoint_.find(name) != nullptr;
}

std::int64_t Weights::rows(const std::string& name) const {
    return static_cast<std::int64_t>(checkpoint_.at(name).rows());
}

at::Tensor Weights::matrix(const std::string& name, at::IntArrayRef shape) {
    const checkpoint::TensorEntry& entry = checkpoint_.at(name);
    // What was quantised has less than the precision of bfloat16.
    const at::ScalarType own = entry.was_quantised ? at::kBFloat16 : to_scalar_type(entry.dtype);
    return take(name, shape, options_.dtype.value_or(own));
}

at::Tensor Weights::vector(const std::string& name, at::IntArrayRef shape) {
    return take(name, shape, activation_type_);
}

at::Tensor Weights::bytes(const std::string& name, at::IntArrayRef shape) {
    const checkpoint::TensorEntry& entry = find(name, shape);
    if (entry.dtype != DType::u8) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} has type {}, expected codes in U8",
                           in_quotes(name),
                           to_string(entry.dtype)));
    }
    if (options_.copies) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} holds quantised experts, which cannot be trained; store them "
                           "in BF16 first",
                           in_quotes(name)));
    }
    return mapped(entry);
}

const checkpoint::TensorEntry& Weights::find(const std::string& name, at::IntArrayRef shape) const {
    const checkpoint::TensorEntry& entry = checkpoint_.at(name);
    const Shape expected(shape.begin(), shape.end());
    if (entry.shape != expected) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} has shape {}, expected {}",
                           in_quotes(name),
                           to_string(entry.shape),
                           to_string(expected)));
    }
    return entry;
}

PackedRows Weights::packed(const std::string& name, at::IntArrayRef shape) const {
    const checkpoint::TensorEntry& entry = find(name, shape);
    if (!options_.keeps_packed || !options_.device.is_cpu() || entry.packed == nullptr ||
        shape.size() != 2 || !cpu::has_packed_product(entry.packed->dtype) ||
        options_.replacements.contains(name)) {
        return {};
    }
    return {
        .bytes = mapped_bytes(*entry.packed), .dtype = entry.packed->dtype, .columns = shape[1]};
}

/// Rows of a block-quantised tensor.
at::Tensor Weights::mapped_bytes(const checkpoint::TensorEntry& entry) const {
    const std::vector<std::int64_t> sizes{static_cast<std::int64_t>(entry.rows()),
                                          static_cast<std::int64_t>(entry.row_bytes())};
    if (entry.computed) {
        at::Tensor rows = at::empty(sizes, at::kByte);
        read_in_parallel(entry, static_cast<std::byte*>(rows.data_ptr()));
        return rows;
    }
    const std::shared_ptr<const io::MappedFile>& file = files_[entry.file];
    return at::from_blob(
        const_cast<std::byte*>(file->bytes().data() + entry.offset),
        sizes,
        [file](void* /*start*/) {},
        at::kByte);
}

at::Tensor Weights::mapped(const checkpoint::TensorEntry& entry) const {
    if (entry.computed) {
        const std::vector<std::int64_t> shape(entry.shape.begin(), entry.shape.end());
        at::Tensor values =
            at::empty(shape, at::TensorOptions().dtype(to_scalar_type(entry.dtype)));
        read_in_parallel(entry, static_cast<std::byte*>(values.data_ptr()));
        return values;
    }
    const std::shared_ptr<const io::MappedFile>& file = files_[entry.file];
    const std::byte* start = file->bytes().data() + entry.offset;
    const std::vector<std::int64_t> sizes(entry.shape.begin(), entry.shape.end());
    const auto type = at::TensorOptions().dtype(to_scalar_type(entry.dtype));
    if (reinterpret_cast<std::uintptr_t>(start) % element_bytes(entry.dtype) != 0) {
        at::Tensor aligned = at::empty(sizes, type);
        std::memcpy(aligned.data_ptr(), start, entry.bytes);
        return aligned;
    }
    // LibTorch has no tensors of const memory; nothing here writes to a weight.
    return at::from_blob(const_cast<std::byte*>(start), sizes, [file](void* /*start*/) {}, type);
}

at::Tensor Weights::take(const std::string& name, at::IntArrayRef shape, at::ScalarType type) {
    if (const auto found = taken_.find(name); found != taken_.end()) {
        return found->second;
    }
    const checkpoint::TensorEntry& entry = find(name, shape);
    if (!is_arithmetic(entry.dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} has type {}; models run on F32, BF16 and F16",
                           in_quotes(name),
                           to_string(entry.dtype)));
    }
    const auto replaced = options_.replacements.find(name);
    at::Tensor tensor = replaced == options_.replacements.end() ? mapped(entry) : replaced->second;
    if (replaced != options_.replacements.end()) {
        check_shape(tensor, shape, name.c_str());
        return taken_.emplace(name, tensor.to(options_.device)).first->second;
    }
    if (options_.copies) {
        tensor = tensor.to(options_.device, type, /*non_blocking=*/false, /*copy=*/true);
        tensor.requires_grad_(true);
    } else if (tensor.scalar_type() != type || !options_.device.is_cpu()) {
        tensor = tensor.to(options_.device, type);
    }
    return taken_.emplace(name, std::move(tensor)).first->second;
}

}  // namespace anamnesis::runtime
