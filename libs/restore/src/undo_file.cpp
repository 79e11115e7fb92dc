// SPDX-License-Identifier: Apache-2.0
#include "undo_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

constexpr const char* metadata_key = "anamnesis.undo";
constexpr std::uint64_t copy_block = 8U << 20U;

std::string header_digest(const io::File& file, std::uint64_t header_bytes) {
    std::string header(header_bytes, '\0');
    file.read_at(0, std::as_writable_bytes(std::span(header)));
    return compute_sha256(header);
}

[[noreturn]] void malformed(const fs::path& path, std::string_view reason) {
    throw Error(ErrorKind::malformed,
                format("{} is no undo file: {}", in_quotes(path.string(), 1000), reason));
}

/// A name inside the folder: an untrusted undo file must not reach elsewhere.
bool is_plain(const std::string& name) {
    return !name.empty() && name != "." && name != ".." &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

void remove_file(const fs::path& path) {
    std::error_code error;
    fs::remove(path, error);
    if (error) {
        throw io_error(format("removing {}", in_quotes(path.string(), 1000)), error.value());
    }
}

}  // namespace

void UndoFile::write(const UndoPlace& place,
                     const std::map<std::string, const checkpoint::WeightFile*>& files,
                     const std::vector<UndoRange>& ranges,
                     const std::optional<std::string>& old_receipt,
                     const Execution& execution) {
    Json map = Json::object();
    map.set("version", 1);
    Json range_list = Json::array();
    std::vector<formats::TensorSpec> tensors;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        range_list.push_back(Json::Object{
            {"file", ranges[i].file}, {"offset", ranges[i].offset}, {"bytes", ranges[i].size}});
        tensors.push_back({.name = format("{}", i), .dtype = DType::u8, .shape = {ranges[i].size}});
    }
    map.set("ranges", std::move(range_list));
    Json file_list = Json::array();
    for (const auto& [name, file] : files) {
        file_list.push_back(
            Json::Object{{"name", name},
                         {"bytes", file->bytes},
                         {"header_sha256", header_digest(*file->file, file->data_begin)}});
    }
    map.set("files", std::move(file_list));
    map.set("receipt", old_receipt ? Json(*old_receipt) : Json());
    const auto prologue = formats::make_safetensors_prologue(tensors, {{metadata_key, map.dump()}});

    io::AtomicFile output(place.undo);
    output.file().reserve(prologue.bytes.size() + prologue.data_bytes);
    output.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        std::uint64_t from = ranges[i].offset;
        std::uint64_t to = prologue.bytes.size() + prologue.offsets[i];
        for (std::uint64_t left = ranges[i].size; left > 0;) {
            execution.check();
            const std::uint64_t part = std::min(left, copy_block);
            io::copy_range(*files.at(ranges[i].file)->file, from, output.file(), to, part);
            from += part;
            to += part;
            left -= part;
            execution.advance(part);
        }
    }
    output.commit();
}

UndoFile UndoFile::open(const UndoPlace& place) {
    const fs::path& path = place.undo;
    UndoFile undo(formats::SafetensorsFile::open(path));
    undo.place_ = place;
    const auto& metadata = undo.file_.header().metadata;
    const auto entry =
        std::ranges::find(metadata, metadata_key, [](const auto& pair) { return pair.first; });
    if (entry == metadata.end()) {
        malformed(path, "its metadata has no anamnesis.undo");
    }
    undo.id_ = compute_sha256(entry->second);
    const Json map = Json::parse(entry->second);
    if (map.at("version").as_unsigned("version") != 1) {
        malformed(path, "its version is not 1");
    }
    for (const Json& file : map.at("files").as_array("files")) {
        undo.files_.push_back(
            {.name = file.at("name").as_string("name"),
             .bytes = file.at("bytes").as_unsigned("bytes"),
             .header_digest = file.at("header_sha256").as_string("header_sha256")});
        if (!is_plain(undo.files_.back().name)) {
            malformed(path, "it names a file outside the folder");
        }
    }
    const auto& ranges = map.at("ranges").as_array("ranges");
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        UndoRange range{.file = ranges[i].at("file").as_string("file"),
                        .offset = ranges[i].at("offset").as_unsigned("offset"),
                        .size = ranges[i].at("bytes").as_unsigned("bytes")};
        const auto* tensor = undo.file_.find(format("{}", i));
        const auto known = std::ranges::find(undo.files_, range.file, &KnownFile::name);
        if (tensor == nullptr || tensor->dtype != DType::u8 || tensor->data.size() != range.size) {
            malformed(path, "a range has no tensor of its size");
        }
        if (known == undo.files_.end() || range.offset > known->bytes ||
            range.size > known->bytes - range.offset) {
            malformed(path, "a range lies outside its file");
        }
        undo.ranges_.push_back(std::move(range));
    }
    if (const Json& receipt = map.at("receipt"); !receipt.is_null()) {
        undo.old_receipt_ = receipt.as_string("receipt");
    }
    return undo;
}

void UndoFile::check_files() const {
    for (const KnownFile& known : files_) {
        const fs::path path = place_.folder / known.name;
        const io::File file = io::File::open_for_reading(path);
        bool fits = file.size() == known.bytes;
        if (fits) {
            const formats::Catalog weights = formats::open_catalog(path);
            fits = header_digest(file, weights.data_begin) == known.header_digest;
        }
        if (!fits) {
            throw Error(ErrorKind::mismatch,
                        format("{} is not the file that {} was made for: size or header changed "
                               "since",
                               in_quotes(path.string(), 1000),
                               in_quotes(place_.undo.string(), 1000)));
        }
    }
}

std::string UndoFile::digest_of_current(const Execution& execution) const {
    Sha256 digest;
    std::vector<std::byte> buffer(copy_block);
    for (const UndoRange& range : ranges_) {
        const io::File file = io::File::open_for_reading(place_.folder / range.file);
        for (std::uint64_t done = 0; done < range.size;) {
            execution.check();
            const auto part =
                std::span(buffer).first(std::min<std::uint64_t>(range.size - done, copy_block));
            file.read_at(range.offset + done, part);
            digest.update(part);
            done += part.size();
        }
    }
    return digest.finish();
}

std::uint64_t UndoFile::roll_back(const Execution& execution) const {
    std::map<std::string, io::File> open;
    for (const KnownFile& known : files_) {
        open.emplace(known.name, io::File::open_for_update(place_.folder / known.name));
    }
    // Without the receipt the folder counts as interrupted, which it is from the first byte on.
    const fs::path& receipt = place_.receipt;
    remove_file(receipt);
    io::sync_folder(place_.folder);
    std::uint64_t restored = 0;
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
        const auto* tensor = file_.find(format("{}", i));
        io::copy_range(file_.file(),
                       file_.data_begin() + tensor->data.begin(),
                       open.at(ranges_[i].file),
                       ranges_[i].offset,
                       ranges_[i].size);
        restored += ranges_[i].size;
        execution.advance(ranges_[i].size);
    }
    for (auto& [name, file] : open) {
        file.sync();
        file.close();
    }
    if (old_receipt_) {
        io::write_text_atomically(receipt, *old_receipt_);
    }
    // The undo file goes last: until then a repeat finds it and does the same again.
    remove_file(place_.undo);
    io::sync_folder(place_.folder);
    return restored;
}

}  // namespace anamnesis::restore
