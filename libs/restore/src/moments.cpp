// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/moments.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::restore {
namespace {

constexpr const char* metadata_key = "anamnesis.moments";

/// "q.S_R.2" of kind "S".
std::string make_name(const MomentKey& key, std::string_view kind) {
    const std::string name =
        format("{}.{}_{}", key.part, kind, key.side == CalibrationSide::recall ? "R" : "C");
    return key.layer ? format("{}.{}", name, key.layer->value) : name;
}

std::string make_count_name(const MomentKey& key) {
    return make_name(key, key.is_held_back ? "NH" : "N");
}

std::string make_target_name(const MomentKey& key) {
    return make_name(key, key.is_held_back ? "YH" : "Y");
}

/// Whether the tensor `name` belongs to a moment as `kind` says: "N", or "Y".
bool is_name_of(std::string_view name, std::string_view kind) {
    return name.find(format(".{}_", kind)) != std::string_view::npos ||
           name.find(format(".{}H_", kind)) != std::string_view::npos;
}

bool is_shape_of_moment(const Shape& shape) {
    if (shape.size() == 1) {
        return shape.front() != 0;
    }
    return shape.size() >= 2 && shape.size() <= 3 && shape.back() == shape[shape.size() - 2] &&
           shape.front() != 0 && shape.back() != 0;
}

void check_tensor(const formats::CatalogEntry& tensor) {
    const bool is_counts = is_name_of(tensor.name, "N");
    const bool is_target = is_name_of(tensor.name, "Y");
    const bool fits = is_counts   ? tensor.shape.size() == 1
                      : is_target ? tensor.shape.size() == 2
                                  : is_shape_of_moment(tensor.shape);
    if (tensor.dtype != DType::f64 || !fits) {
        throw Error(ErrorKind::malformed,
                    format("tensor {} is {} {}, expected F64 {}",
                           in_quotes(tensor.name),
                           to_string(tensor.dtype),
                           anamnesis::to_string(tensor.shape),
                           is_counts   ? "[heads]"
                           : is_target ? "[outputs, n]"
                                       : "[n, n], [heads, n, n] or [n]"));
    }
}

Shape find_shape(const Moment& moment) {
    if (moment.matrices.empty()) {
        return {moment.diagonal.size()};
    }
    const std::uint64_t size = moment.matrices.front().rows();
    Shape shape{size, size};
    if (moment.matrices.size() > 1) {
        shape.insert(shape.begin(), moment.matrices.size());
    }
    return shape;
}

/// A tensor of a file, and where its values lie one after the other.
struct NamedValues {
    std::string name;
    Shape shape;
    std::vector<std::span<const double>> values{};
    std::vector<double> counts{};  ///< that `values` points to
};

/// The tensors of a moment, which must outlive them.
std::vector<NamedValues> list_parts(const MomentKey& key, const Moment& moment) {
    std::vector<NamedValues> parts;
    NamedValues& sums = parts.emplace_back(to_string(key), find_shape(moment));
    if (!moment.diagonal.empty()) {
        sums.values.emplace_back(moment.diagonal);
    }
    for (const linalg::Matrix& matrix : moment.matrices) {
        sums.values.push_back(matrix.values());
    }
    if (moment.target.rows() != 0) {
        parts.push_back({.name = make_target_name(key),
                         .shape = {moment.target.rows(), moment.target.columns()},
                         .values = {moment.target.values()}});
    }
    if (!moment.counts.empty()) {
        NamedValues& counts = parts.emplace_back(make_count_name(key), Shape{moment.counts.size()});
        counts.counts.assign(moment.counts.begin(), moment.counts.end());
        counts.values.emplace_back(counts.counts);
    }
    return parts;
}

/// The key of a tensor that holds a sum; nothing for counts and targets.
std::optional<MomentKey> parse_key(std::string_view name) {
    const std::vector<std::string> words = split(name, '.');
    if (words.size() < 2 || words.size() > 3 || words[1].size() != 3 ||
        (words[1].front() != 'S' && words[1].front() != 'H')) {
        return std::nullopt;
    }
    MomentKey key{
        .part = words[0],
        .side = words[1].back() == 'R' ? CalibrationSide::recall : CalibrationSide::chains,
        .layer = std::nullopt,
        .is_held_back = words[1].front() == 'H'};
    if (words.size() == 3) {
        std::uint32_t layer = 0;
        const char* const last = words[2].data() + words[2].size();
        if (std::from_chars(words[2].data(), last, layer).ptr != last) {
            return std::nullopt;
        }
        key.layer = LayerIndex(layer);
    }
    return key;
}

Error make_missing_error(const MomentKey& key) {
    return {ErrorKind::not_found,
            format("there is no moment {}; calibrate with the same groups, layers and keys",
                   in_quotes(to_string(key)))};
}

}  // namespace

std::string to_string(const MomentKey& key) {
    return make_name(key, key.is_held_back ? "H" : "S");
}

bool has_target(std::string_view part) {
    return part.ends_with("_latent");
}

bool is_of_experts(std::string_view part) {
    return part == "experts" || part == "experts_down";
}

void MomentSet::set(const MomentKey& key, Moment moment) {
    moments_[key] = std::move(moment);
}

const Moment& MomentSet::at(const MomentKey& key) const {
    const auto found = moments_.find(key);
    if (found == moments_.end()) {
        throw make_missing_error(key);
    }
    return found->second;
}

Moment MomentSet::load(const MomentKey& key) const {
    return at(key);
}

void MomentSet::visit(const MomentKey& key, const std::function<void(const Moment&)>& look) const {
    look(at(key));
}

std::vector<std::uint64_t> MomentSet::load_counts(const MomentKey& key) const {
    return at(key).counts;
}

std::vector<MomentKey> MomentSet::list_keys() const {
    std::vector<MomentKey> keys;
    for (const auto& [key, _] : moments_) {
        keys.push_back(key);
    }
    return keys;
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
                check_tensor(tensor);
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
    Moment moment{.counts = load_counts(key)};
    if (entry->shape.size() == 1) {
        moment.diagonal.resize(size);
        catalog_.file->read_at(entry->offset, std::as_writable_bytes(std::span(moment.diagonal)));
        return moment;
    }
    std::uint64_t offset = entry->offset;
    while (offset < entry->offset + entry->bytes) {
        linalg::Matrix& matrix = moment.matrices.emplace_back(size, size);
        const auto bytes = std::as_writable_bytes(matrix.values());
        catalog_.file->read_at(offset, bytes);
        offset += bytes.size();
    }
    if (const formats::CatalogEntry* target = find(make_target_name(key))) {
        moment.target = linalg::Matrix(target->shape.front(), target->shape.back());
        catalog_.file->read_at(target->offset, std::as_writable_bytes(moment.target.values()));
    }
    return moment;
}

std::vector<std::uint64_t> MomentFile::load_counts(const MomentKey& key) const {
    if (!has(key)) {
        throw make_missing_error(key);
    }
    const formats::CatalogEntry* entry = find(make_count_name(key));
    if (entry == nullptr) {
        return {};
    }
    std::vector<double> counts(entry->shape.front());
    catalog_.file->read_at(entry->offset, std::as_writable_bytes(std::span(counts)));
    return {counts.begin(), counts.end()};
}

std::vector<MomentKey> MomentFile::list_keys() const {
    std::vector<MomentKey> keys;
    for (const formats::CatalogEntry& entry : catalog_.tensors) {
        if (auto key = parse_key(entry.name)) {
            keys.push_back(*std::move(key));
        }
    }
    std::ranges::sort(keys);
    return keys;
}

std::vector<std::string> MomentFile::list_names() const {
    std::vector<std::string> names;
    for (const formats::CatalogEntry& entry : catalog_.tensors) {
        names.push_back(entry.name);
    }
    return names;
}

void write_moments(const io::File& file, const MomentSource& moments, const Json& description) {
    const std::vector<MomentKey> keys = moments.list_keys();
    std::vector<formats::TensorSpec> tensors;
    for (const MomentKey& key : keys) {
        moments.visit(key, [&](const Moment& moment) {
            for (const NamedValues& part : list_parts(key, moment)) {
                tensors.push_back({.name = part.name, .dtype = DType::f64, .shape = part.shape});
            }
        });
    }
    const auto prologue =
        formats::make_safetensors_prologue(tensors, {{metadata_key, description.dump()}});
    file.write_at(0, std::as_bytes(std::span(prologue.bytes)));
    std::size_t number = 0;
    for (const MomentKey& key : keys) {
        moments.visit(key, [&](const Moment& moment) {
            for (const NamedValues& part : list_parts(key, moment)) {
                std::uint64_t offset = prologue.bytes.size() + prologue.offsets[number++];
                for (const std::span<const double> values : part.values) {
                    file.write_at(offset, std::as_bytes(values));
                    offset += values.size_bytes();
                }
            }
        });
    }
}

void write_moments(const std::filesystem::path& path,
                   const MomentSource& moments,
                   const Json& description) {
    io::AtomicFile file(path);
    write_moments(file.file(), moments, description);
    file.commit();
}

}  // namespace anamnesis::restore
