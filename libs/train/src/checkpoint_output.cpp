// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/checkpoint_output.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"

#include "tensor_file.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

void write_weights(const checkpoint::Checkpoint& source,
                   std::uint32_t index,
                   const NamedTensors& weights,
                   const fs::path& target) {
    const formats::SafetensorsFile& file = source.files()[index];
    io::AtomicFile output{target};
    io::copy_range(file.file(), 0, output.file(), 0, file.data_begin());
    for (const checkpoint::TensorEntry& entry : source.tensors()) {
        if (entry.file != index) {
            continue;
        }
        const auto weight = weights.find(entry.name);
        if (weight == weights.end()) {
            io::copy_range(file.file(), entry.offset, output.file(), entry.offset, entry.bytes);
            continue;
        }
        const at::Tensor stored =
            weight->second.detach().to(at::kCPU, runtime::scalar_type_of(entry.dtype)).contiguous();
        if (stored.nbytes() != entry.bytes) {
            throw Error(ErrorKind::mismatch,
                        format("weight {} has {} bytes, the checkpoint's {}",
                               in_quotes(entry.name),
                               stored.nbytes(),
                               entry.bytes));
        }
        output.file().write_at(entry.offset, bytes_of(stored));
    }
    output.commit();
}

/// Files beside the weights that make a checkpoint usable. Receipts, undo files and what an earlier
/// run of training left speak of other weights.
bool belongs_to_model(const fs::path& path) {
    constexpr std::array extensions{".json", ".txt", ".jinja", ".model", ".py", ".tiktoken"};
    const std::string name = path.filename().string();
    if (name.starts_with('.') || name.starts_with("anamnesis") || name == "run.json" ||
        name == "training.json") {
        return false;
    }
    for (const std::string_view extension : extensions) {
        if (path.extension() == extension) {
            return true;
        }
    }
    return false;
}

}  // namespace

void write_checkpoint(const checkpoint::Checkpoint& source,
                      const NamedTensors& weights,
                      const fs::path& folder) {
    if (!source.is_single_file()) {
        for (const fs::directory_entry& entry : fs::directory_iterator(source.folder())) {
            if (entry.is_regular_file() && belongs_to_model(entry.path())) {
                io::write_text_atomically(folder / entry.path().filename(),
                                          io::read_text(entry.path(), 1U << 30U));
            }
        }
    }
    for (std::uint32_t i = 0; i < source.files().size(); ++i) {
        const fs::path name = source.is_single_file() ? fs::path("model.safetensors")
                                                      : source.files()[i].path().filename();
        write_weights(source, i, weights, folder / name);
    }
}

}  // namespace anamnesis::train
