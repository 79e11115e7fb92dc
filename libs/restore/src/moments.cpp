// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/moments.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::restore {
namespace {

constexpr const char* metadata_key = "anamnesis.moments";

Error make_missing_error(const MomentKey& key) {
    return {ErrorKind::not_found,
            format("there is no moment {}; calibrate with the same groups, layers and keys",
                   in_quotes(to_string(key)))};
}

}  // namespace

std::string to_string(const MomentKey& key) {
    const std::string name = key.part + (key.side == CalibrationSide::recall ? ".S_R" : ".S_C");
    return key.layer ? format("{}.{}", name, key.layer->value) : name;
}

void MomentSet::set(const MomentKey& key, Moment moment) {
    moments_[key] = std::move(moment);
}

Moment MomentSet::load(const MomentKey& key) const {
    const auto found = moments_.find(key);
    if (found == moments_.end()) {
        throw make_missing_error(key);
    }
    return found->second;
}

MomentFile MomentFile::open(const std::filesystem::path& path) {
    return in_context(
        [&] { return format("reading the moments {}", in_quotes(path.string(), 1000)); },
        [&] {
            MomentFile file;
            file.catalog_ = formats::open_safetensors_catalog(path);
            const auto entry = std::ranges::find(
                file.catalog_.metadata, metadata_key, [](const auto& pair) { return pair.first; });
            if (entry == file.catalog_.metadata.end()) {
                throw Error(
                    ErrorKind::malformed,
                    format("the file holds no moments: its metadata has no {}", metadata_key));
            }
            file.description_ = Json::parse(entry->second);
            for (const formats::CatalogEntry& tensor : file.catalog_.tensors) {
                const Shape& shape = tensor.shape;
                const bool is_square = shape.size() >= 2 && shape.size() <= 3 &&
                                       shape.back() == shape[shape.size() - 2] &&
                                       shape.front() != 0 && shape.back() != 0;
                if (tensor.dtype != DType::f64 || !is_square) {
                    throw Error(ErrorKind::malformed,
                                format("tensor {} is {} {}, expected F64 [n, n] or [heads, n, n]",
                                       in_quotes(tensor.name),
                                       to_string(tensor.dtype),
                                       anamnesis::to_string(shape)));
                }
            }
            return file;
        });
}

const formats::CatalogEntry* MomentFile::find(std::string_view name) const {
    const auto found = std::ranges::find(catalog_.tensors, name, &formats::CatalogEntry::name);
    return found == catalog_.tensors.end() ? nullptr : &*found;
}

bool MomentFile::has(const MomentKey& key) const {
    return find(to_string(key)) != nullptr;
}

Moment MomentFile::load(const MomentKey& key) const {
    const formats::CatalogEntry* entry = find(to_string(key));
    if (entry == nullptr) {
        throw make_missing_error(key);
    }
    const std::size_t size = entry->shape.back();
    Moment moment;
    std::uint64_t offset = entry->offset;
    while (offset < entry->offset + entry->bytes) {
        linalg::Matrix& matrix = moment.emplace_back(size, size);
        const auto bytes = std::as_writable_bytes(matrix.values());
        catalog_.file->read_at(offset, bytes);
        offset += bytes.size();
    }
    return moment;
}

std::vector<std::string> MomentFile::list_names() const {
    std::vector<std::string> names;
    for (const formats::CatalogEntry& entry : catalog_.tensors) {
        names.push_back(entry.name);
    }
    return names;
}

void write_moments(const std::filesystem::path& path,
                   const MomentSet& moments,
                   const Json& description) {
    std::vector<formats::TensorSpec> tensors;
    for (const auto& [key, moment] : moments.all()) {
        const std::uint64_t size = moment.front().rows();
        Shape shape{size, size};
        if (moment.size() > 1) {
            shape.insert(shape.begin(), moment.size());
        }
        tensors.push_back({.name = to_string(key), .dtype = DType::f64, .shape = std::move(shape)});
    }
    const auto prologue =
        formats::make_safetensors_prologue(tensors, {{metadata_key, description.dump()}});
    io::AtomicFile file(path);
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    std::size_t index = 0;
    for (const auto& [key, moment] : moments.all()) {
        std::uint64_t offset = prologue.bytes.size() + prologue.offsets[index++];
        for (const linalg::Matrix& matrix : moment) {
            const auto bytes = std::as_bytes(matrix.values());
            file.file().write_at(offset, bytes);
            offset += bytes.size();
        }
    }
    file.commit();
}

}  // namespace anamnesis::restore
