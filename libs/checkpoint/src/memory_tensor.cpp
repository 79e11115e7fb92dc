// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/memory_tensor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {
namespace {

class BytesInMemory final : public ComputedTensor {
public:
    explicit BytesInMemory(std::span<const std::byte> bytes) : bytes_(bytes) {}

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        std::ranges::copy(bytes_.subspan(begin, target.size()), target.begin());
    }

private:
    std::span<const std::byte> bytes_;
};

class ShapeAlone final : public ComputedTensor {
public:
    void read_at(std::uint64_t /*begin*/, std::span<std::byte> /*target*/) const override {
        throw Error(ErrorKind::internal, "a tensor that has a shape alone has no bytes to read");
    }
};

/// Errors: `malformed` for a shape without a size.
TensorEntry make_entry(const MemoryTensor& tensor, std::uint64_t offset) {
    const std::optional<std::uint64_t> bytes = find_byte_count(tensor.dtype, tensor.shape);
    if (!bytes) {
        throw Error(ErrorKind::malformed,
                    format("tensor {} of type {} cannot have the shape {}",
                           in_quotes(tensor.name),
                           anamnesis::to_string(tensor.dtype),
                           anamnesis::to_string(tensor.shape)));
    }
    return {.name = tensor.name,
            .dtype = tensor.dtype,
            .shape = tensor.shape,
            .offset = offset,
            .bytes = *bytes};
}

}  // namespace

Checkpoint make_memory_checkpoint(const std::string& label,
                                  const std::vector<MemoryTensor>& tensors,
                                  Json config) {
    std::vector<TensorEntry> entries;
    std::uint64_t offset = 0;
    for (const MemoryTensor& tensor : tensors) {
        TensorEntry& entry = entries.emplace_back(make_entry(tensor, offset));
        if (entry.bytes != tensor.bytes.size()) {
            throw Error(ErrorKind::malformed,
                        format("tensor {} of type {} and shape {} has {} bytes, {} are given",
                               in_quotes(tensor.name),
                               anamnesis::to_string(tensor.dtype),
                               anamnesis::to_string(tensor.shape),
                               entry.bytes,
                               tensor.bytes.size()));
        }
        entry.computed = std::make_shared<BytesInMemory>(tensor.bytes);
        offset += entry.bytes;
    }
    return Checkpoint::of_tensors(label, std::move(entries), std::move(config));
}

Checkpoint make_shape_checkpoint(const std::string& label,
                                 const std::vector<MemoryTensor>& tensors,
                                 Json config) {
    const auto no_bytes = std::make_shared<ShapeAlone>();
    std::vector<TensorEntry> entries;
    std::uint64_t offset = 0;
    for (const MemoryTensor& tensor : tensors) {
        TensorEntry& entry = entries.emplace_back(make_entry(tensor, offset));
        entry.computed = no_bytes;
        offset += entry.bytes;
    }
    return Checkpoint::of_tensors(label, std::move(entries), std::move(config));
}

Checkpoint make_planned_checkpoint(const Json& config) {
    const Blueprint blueprint = in_context([] { return std::string("reading the config"); },
                                           [&] { return make_blueprint(config); });
    std::vector<MemoryTensor> tensors;
    for (const PlannedTensor& tensor : blueprint.tensors) {
        if (tensor.presence == Presence::required && tensor.storage != Storage::stacked) {
            tensors.push_back(
                {.name = (tensor.is_in_body ? blueprint.prefix : std::string()) + tensor.name,
                 .dtype = DType::f32,
                 .shape = tensor.shape});
        }
    }
    return make_shape_checkpoint("the config", tensors, config);
}

}  // namespace anamnesis::checkpoint
