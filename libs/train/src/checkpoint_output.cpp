// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/checkpoint_output.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include <ATen/ops/isfinite.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"

#include "tensor_file.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

/// As the file will have it.
at::Tensor to_stored(const at::Tensor& weight, DType dtype) {
    return weight.detach().to(at::kCPU, runtime::to_scalar_type(dtype)).contiguous();
}

void write_weights(const checkpoint::Checkpoint& source,
                   std::uint32_t index,
                   const NamedTensors& weights,
                   const fs::path& target) {
    const checkpoint::WeightFile& file = source.files()[index];
    io::AtomicFile output{target};
    io::copy_range(*file.file, 0, output.file(), 0, file.data_begin);
    for (const checkpoint::TensorEntry& entry : source.tensors()) {
        if (entry.file != index) {
            continue;
        }
        const auto weight = weights.find(entry.name);
        if (weight == weights.end()) {
            entry.copy_to(output.file(), entry.offset, 0, entry.bytes);
            continue;
        }
        const at::Tensor stored = to_stored(weight->second, entry.dtype);
        if (stored.nbytes() != entry.bytes) {
            throw Error(ErrorKind::mismatch,
                        format("weight {} has {} bytes, the checkpoint's {}",
                               in_quotes(entry.name),
                               stored.nbytes(),
                               entry.bytes));
        }
        output.file().write_at(entry.offset, as_bytes(stored));
    }
    output.commit();
}

void copy_side_file(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::create_directories(to.parent_path(), error);
    if (error) {
        throw io_error(format("creating folder {}", in_quotes(to.parent_path().string(), 1000)),
                       error.value());
    }
    const io::File source = io::File::open_for_reading(from);
    io::AtomicFile target(to);
    io::copy_range(source, 0, target.file(), 0, source.size());
    target.commit();
}

}  // namespace

void require_finite(const checkpoint::Checkpoint& source, const NamedTensors& weights) {
    for (const auto& [name, weight] : weights) {
        const checkpoint::TensorEntry* entry = source.find(name);
        const at::Tensor stored = entry == nullptr ? weight : to_stored(weight, entry->dtype);
        if (!at::isfinite(stored).all().item<bool>()) {
            throw Error(
                ErrorKind::numerical,
                format("after the last step weight {} is not a number{}; lower --lr, and "
                       "check the data. No checkpoint was written",
                       in_quotes(name),
                       entry == nullptr ? std::string()
                                        : format(" that {} can hold", to_string(entry->dtype))));
        }
    }
}

void write_checkpoint(const checkpoint::Checkpoint& source,
                      const NamedTensors& weights,
                      const fs::path& folder) {
    if (!source.is_single_file()) {
        for (const checkpoint::SideFile& file : checkpoint::find_side_files(source).files) {
            copy_side_file(source.folder() / file.relative, folder / file.relative);
        }
    }
    for (std::uint32_t i = 0; i < source.files().size(); ++i) {
        const fs::path name = source.is_single_file() ? fs::path("model.safetensors")
                                                      : source.files()[i].path().filename();
        write_weights(source, i, weights, folder / name);
    }
}

}  // namespace anamnesis::train
