// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/checkpoint.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <bits/ranges_algo.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/formats/catalog.hpp"
#include "anamnesis/formats/foreign_file.hpp"
#include "anamnesis/io/file.hpp"

#include "file_faults.hpp"
#include "gguf/shards.hpp"
#include "weight_files.hpp"
#include "wrappers.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

Json read_config(const fs::path& path) {
    return in_context([&] { return format("reading {}", in_quotes(path.string())); },
                      [&] {
                          const std::string text = io::read_text(path);
                          if (const auto foreign = formats::describe_foreign_bytes(text)) {
                              throw Error(ErrorKind::malformed,
                                          format("{} is {}", in_quotes(path.string()), *foreign));
                          }
                          if (text.empty()) {
                              throw Error(
                                  ErrorKind::malformed,
                                  format("{} is empty; fetch it again", in_quotes(path.string())));
                          }
                          Json config = Json::parse_python(text);
                          static_cast<void>(config.as_object("config.json"));
                          return config;
                      });
}

/// Metadata that cannot be read is told where the model is recognised, with all that it means.
Json describe_gguf(const formats::GgufFile& file) {
    try {
        return make_gguf_config(file);
    } catch (const Error&) {
        return Json::Object{{"model_type", file.architecture()}};
    }
}

void append_tensors(formats::Catalog& catalog,
                    std::uint32_t file,
                    std::vector<TensorEntry>& tensors) {
    for (formats::CatalogEntry& tensor : catalog.tensors) {
        tensors.push_back({.name = std::move(tensor.name),
                           .dtype = tensor.dtype,
                           .shape = std::move(tensor.shape),
                           .file = file,
                           .offset = tensor.offset,
                           .bytes = tensor.bytes,
                           .source = catalog.file});
    }
}

void append_warnings(const formats::Catalog& catalog,
                     const std::string& name,
                     std::vector<Finding>& findings) {
    for (const std::string& warning : catalog.warnings) {
        findings.push_back(make_finding(
            "odd_header", Severity::warning, {name}, format("{}: {}", in_quotes(name), warning)));
    }
}

/// Numbers of tensors by name.
/// Errors: `malformed` for a name in two files.
std::vector<std::uint32_t> sort_by_name(const std::vector<TensorEntry>& tensors,
                                        const std::vector<std::string>& files) {
    std::vector<std::uint32_t> by_name(tensors.size());
    std::iota(by_name.begin(), by_name.end(), 0U);
    const auto name_at = [&](std::uint32_t i) -> const std::string& { return tensors[i].name; };
    // Stable, so that of two equal names the first file is named first.
    std::ranges::stable_sort(by_name, {}, name_at);
    const auto twin = std::ranges::adjacent_find(by_name, {}, name_at);
    if (twin != by_name.end()) {
        if (files.empty()) {
            throw Error(ErrorKind::malformed,
                        format("tensor {} is given twice", in_quotes(name_at(*twin))));
        }
        const auto quoted_file = [&](std::uint32_t i) { return in_quotes(files[tensors[i].file]); };
        throw Error(ErrorKind::malformed,
                    format("tensor {} is in two shards, {} and {}",
                           in_quotes(name_at(*twin)),
                           quoted_file(*twin),
                           quoted_file(*(twin + 1))));
    }
    return by_name;
}

}  // namespace

void TensorEntry::read_at(std::uint64_t begin, std::span<std::byte> target) const {
    ANAMNESIS_CHECK(begin <= bytes && target.size() <= bytes - begin, "a read lies in its tensor");
    if (computed) {
        computed->read_at(begin, target);
        return;
    }
    source->read_at(offset + begin, target);
}

void TensorEntry::copy_to(const io::File& target,
                          std::uint64_t target_offset,
                          std::uint64_t begin,
                          std::uint64_t size) const {
    ANAMNESIS_CHECK(begin <= bytes && size <= bytes - begin, "a copy lies in its tensor");
    if (computed) {
        std::vector<std::byte> buffer(size);
        computed->read_at(begin, buffer);
        target.write_at(target_offset, buffer);
        return;
    }
    io::copy_range(*source, offset + begin, target, target_offset, size);
}

Checkpoint Checkpoint::open(const fs::path& path, const OpenOptions& options) {
    return in_context(
        [&] { return format("opening checkpoint {}", in_quotes(path.string())); },
        [&] {
            WeightFiles weights = find_weight_files(path);
            Checkpoint checkpoint;
            checkpoint.path_ = path;
            checkpoint.folder_ = weights.folder;
            checkpoint.is_single_file_ = weights.is_single_file;
            checkpoint.is_indexed_ = weights.index.has_value();
            checkpoint.findings_ = std::move(weights.findings);
            std::vector<std::shared_ptr<const formats::GgufFile>> shards;
            if (options.config) {
                checkpoint.config_ = read_config(*options.config);
            } else if (weights.config) {
                checkpoint.config_ = read_config(*weights.config);
            }
            for (const std::string& name : weights.names) {
                const auto number = static_cast<std::uint32_t>(checkpoint.files_.size());
                formats::Catalog catalog = formats::open_catalog(weights.folder / name);
                append_tensors(catalog, number, checkpoint.tensors_);
                append_warnings(catalog, name, checkpoint.findings_);
                if (catalog.gguf) {
                    shards.push_back(catalog.gguf);
                }
                checkpoint.files_.push_back({.file = std::move(catalog.file),
                                             .bytes = catalog.file_bytes,
                                             .data_begin = catalog.data_begin,
                                             .metadata = std::move(catalog.metadata)});
            }
            if (!shards.empty()) {
                check_gguf_shards(weights.names, shards);
                checkpoint.gguf_ = shards.front();
                checkpoint.config_ = describe_gguf(*checkpoint.gguf_);
            }
            checkpoint.by_name_ = sort_by_name(checkpoint.tensors_, weights.names);
            if (weights.index) {
                checkpoint.is_index_exact_ =
                    check_index(*weights.index, weights.names, checkpoint, checkpoint.findings_);
            }
            find_odd_names(checkpoint, checkpoint.findings_);
            find_empty_tensors(checkpoint, checkpoint.findings_);
            if (!checkpoint.is_single_file_ && !checkpoint.gguf_) {
                find_unfetched_side_files(checkpoint.folder_, checkpoint.findings_);
            }
            return checkpoint;
        });
}

Checkpoint Checkpoint::with_tensors(std::vector<TensorEntry> tensors,
                                    std::shared_ptr<const formats::GgufFile> gguf) const {
    Checkpoint other = *this;
    other.tensors_ = std::move(tensors);
    std::vector<std::string> names;
    for (const WeightFile& file : files_) {
        names.push_back(file.name());
    }
    other.by_name_ = sort_by_name(other.tensors_, names);
    other.gguf_ = std::move(gguf);
    return other;
}

Checkpoint Checkpoint::with_config(Json config) const {
    Checkpoint other = *this;
    other.config_ = std::move(config);
    return other;
}

Checkpoint Checkpoint::of_tensors(const std::string& label,
                                  std::vector<TensorEntry> tensors,
                                  Json config) {
    if (!config.is_null()) {
        static_cast<void>(config.as_object("the config"));
    }
    Checkpoint checkpoint;
    checkpoint.path_ = label;
    checkpoint.tensors_ = std::move(tensors);
    checkpoint.by_name_ = sort_by_name(checkpoint.tensors_, {});
    checkpoint.config_ = std::move(config);
    find_odd_names(checkpoint, checkpoint.findings_);
    find_empty_tensors(checkpoint, checkpoint.findings_);
    return checkpoint;
}

const TensorEntry* Checkpoint::find(std::string_view name) const& {
    const auto name_at = [&](std::uint32_t i) -> std::string_view { return tensors_[i].name; };
    const auto found = std::ranges::lower_bound(by_name_, name, {}, name_at);
    return found != by_name_.end() && name_at(*found) == name ? &tensors_[*found] : nullptr;
}

const TensorEntry& Checkpoint::at(std::string_view name) const& {
    if (const TensorEntry* tensor = find(name)) {
        return *tensor;
    }
    std::vector<std::string> names;
    names.reserve(tensors_.size());
    for (const TensorEntry& tensor : tensors_) {
        names.push_back(tensor.name);
    }
    const auto nearest = find_nearest(name, names);
    throw Error(
        ErrorKind::not_found,
        format("tensor {} is not in the checkpoint{}",
               in_quotes(name),
               nearest ? format("; the nearest name is {}", in_quotes(*nearest)) : std::string()));
}

std::uint64_t Checkpoint::tensor_bytes() const noexcept {
    std::uint64_t bytes = 0;
    for (const TensorEntry& tensor : tensors_) {
        bytes += tensor.bytes;
    }
    return bytes;
}

std::uint64_t Checkpoint::parameter_count() const noexcept {
    std::uint64_t count = 0;
    for (const TensorEntry& tensor : tensors_) {
        count += find_element_count(tensor.shape).value_or(0);
    }
    return count;
}

}  // namespace anamnesis::checkpoint
