// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::formats {
struct GgufFile;
}

namespace anamnesis::checkpoint {

/// A tensor whose bytes are computed as they are read. Any thread may read.
class ComputedTensor {
public:
    ComputedTensor() = default;
    ComputedTensor(const ComputedTensor&) = delete;
    ComputedTensor& operator=(const ComputedTensor&) = delete;
    virtual ~ComputedTensor() = default;
    /// Fills `target` from byte `begin`, which lies on a whole element.
    virtual void read_at(std::uint64_t begin, std::span<std::byte> target) const = 0;
};

/// A tensor of a checkpoint: its type, its shape and where its bytes lie, whatever container holds
/// them.
struct TensorEntry {
    std::string name;
    DType dtype = DType::f32;
    Shape shape;
    std::uint32_t file = 0;    ///< into Checkpoint::files()
    std::uint64_t offset = 0;  ///< of the first byte, from the start of that file
    std::uint64_t bytes = 0;
    std::shared_ptr<const io::File> source{};  ///< that file, open for reading
    /// Where the bytes do not lie in a file as they are; else null.
    std::shared_ptr<const ComputedTensor> computed{};
    bool was_quantised = false;  ///< the values come from a block-quantised type
    /// The same rows in the block-quantised type that they are stored in, where all are in one.
    std::shared_ptr<const TensorEntry> packed{};

    /// Output rows: the first dimension; 1 for a scalar.
    std::uint64_t rows() const { return shape.empty() ? 1 : shape.front(); }
    /// Bytes of one row; 0 where rows do not begin on whole blocks.
    std::uint64_t row_bytes() const {
        return rows() == 0 || bytes % rows() != 0 || (bytes / rows()) % block_bytes(dtype) != 0
                   ? 0
                   : bytes / rows();
    }
    /// Values of one row: the product of all dimensions but the first. 0 where `row_bytes` is.
    std::uint64_t columns() const { return count_elements(dtype, row_bytes()); }

    /// Fills `target` from byte `begin` of the tensor.
    /// Errors: `io`; `malformed` where the file ends before; `internal` outside the tensor.
    void read_at(std::uint64_t begin, std::span<std::byte> target) const;

    /// Copies bytes [begin, begin + size) of the tensor into a file, inside the kernel.
    /// Errors: as `read_at`, and those of writing.
    void copy_to(const io::File& target,
                 std::uint64_t target_offset,
                 std::uint64_t begin,
                 std::uint64_t size) const;
};

/// The key of the metadata by which a file of safetensors is a patch of `restore --patch`: its
/// tensors have the names of a checkpoint's and hold some of their rows.
inline constexpr const char* patch_key = "anamnesis.patch";

/// A file that holds weights.
struct WeightFile {
    std::shared_ptr<const io::File> file;
    std::uint64_t bytes = 0;
    std::uint64_t data_begin = 0;  ///< all before it is the container's directory
    std::vector<std::pair<std::string, std::string>> metadata{};

    const std::filesystem::path& path() const& noexcept { return file->path(); }
    std::string name() const { return path().filename().string(); }
};

/// True for the path of a GGUF file that is no shard of a set, by its name.
bool is_whole_gguf(const std::filesystem::path& path);

/// What `Checkpoint::open` may be told beside the path.
struct OpenOptions {
    /// A config.json for a checkpoint that has none beside it.
    std::optional<std::filesystem::path> config{};
};

/// A checkpoint as `save_pretrained` or `hf download` leaves it: a folder with one
/// `model.safetensors`, or shards with `model.safetensors.index.json`; or a single .safetensors
/// file; or a .gguf file, or any shard or the folder of a split set. Symbolic links of the Hugging
/// Face cache are followed. Headers are read and checked, no weight is touched.
class Checkpoint {
public:
    /// Errors: `not_found` for a missing folder, shard or weights file; `malformed` for a header,
    /// index or config that breaks its rules, a tensor in two shards; `unsupported` for weights in
    /// other formats only (.bin, .pt), named.
    static Checkpoint open(const std::filesystem::path& path, const OpenOptions& options = {});

    /// The path as given.
    const std::filesystem::path& path() const& noexcept { return path_; }
    /// The folder that holds the weights.
    const std::filesystem::path& folder() const& noexcept { return folder_; }
    bool is_single_file() const noexcept { return is_single_file_; }
    /// True where a model.safetensors.index.json was read.
    bool is_indexed() const noexcept { return is_indexed_; }
    /// True where the index that was read names each tensor, in its file, and nothing else.
    bool is_index_exact() const noexcept { return is_index_exact_; }

    /// Weight files, sorted by name.
    const std::vector<WeightFile>& files() const& noexcept { return files_; }
    /// All tensors, by file, then offset.
    const std::vector<TensorEntry>& tensors() const& noexcept { return tensors_; }
    const TensorEntry* find(std::string_view name) const&;
    /// Errors: `not_found`, with the nearest name.
    const TensorEntry& at(std::string_view name) const&;

    /// The root of config.json; null where there is none. Of a GGUF file what its metadata says, in
    /// the spelling of config.json.
    const Json& config() const& noexcept { return config_; }

    /// The header of a GGUF file, or of the first shard of a set; null for other containers.
    const std::shared_ptr<const formats::GgufFile>& gguf() const& noexcept { return gguf_; }

    /// The same files with other tensors: what `view_as_gguf` makes.
    Checkpoint with_tensors(std::vector<TensorEntry> tensors,
                            std::shared_ptr<const formats::GgufFile> gguf) const;

    /// The same files under another config.
    Checkpoint with_config(Json config) const;

    /// Tensors that lie in no file: what memory_tensor.hpp makes. `label` takes the place of the
    /// path.
    /// Errors: `malformed` for a name that is given twice and for a config that is neither an
    /// object
    ///         nor null.
    static Checkpoint of_tensors(const std::string& label,
                                 std::vector<TensorEntry> tensors,
                                 Json config);

    /// What is odd about files and names: files that no index names, index entries without a
    /// tensor, names that no loader finds, empty tensors.
    const std::vector<Finding>& findings() const& noexcept { return findings_; }

    std::uint64_t tensor_bytes() const noexcept;
    std::uint64_t parameter_count() const noexcept;

private:
    std::filesystem::path path_;
    std::filesystem::path folder_;
    bool is_single_file_ = false;
    bool is_indexed_ = false;
    bool is_index_exact_ = false;
    std::vector<WeightFile> files_;
    std::vector<TensorEntry> tensors_;
    std::vector<std::uint32_t> by_name_;
    Json config_;
    std::shared_ptr<const formats::GgufFile> gguf_;
    std::vector<Finding> findings_;
};

}  // namespace anamnesis::checkpoint
