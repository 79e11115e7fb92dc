// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"

#include "undo_place.hpp"

namespace anamnesis::restore {

/// Bytes [offset, offset + size) of a weight file that an in-place repair replaces.
struct UndoRange {
    std::string file;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// `anamnesis.undo`: a safetensors file whose tensors "0", "1", … (U8) are the old bytes of each
/// range, and whose metadata "anamnesis.undo" maps them:
/// {"version": 1, "ranges": [{"file", "offset", "bytes"}…],
///  "files": [{"name", "bytes", "header_sha256"}…], "receipt": text of an older receipt or null,
///  "made": when and by which process}.
class UndoFile {
public:
    /// Copies the old bytes out of `files`, syncs, and makes the undo file visible.
    static void write(const UndoPlace& place,
                      const std::map<std::string, const checkpoint::WeightFile*>& files,
                      const std::vector<UndoRange>& ranges,
                      const std::optional<std::string>& old_receipt,
                      const Execution& execution);

    /// Errors: `not_found`, or `malformed` for a file that `write` did not make.
    static UndoFile open(const UndoPlace& place);

    /// Errors: `mismatch` where a weight file has another size or header than when the undo file
    /// was written.
    void check_files() const;

    /// Takes the receipt away, writes the old bytes back, syncs, puts the older receipt back,
    /// removes the undo file.
    /// Safe to repeat after a crash in the middle.
    std::uint64_t roll_back(const Execution& execution) const;

    const std::vector<UndoRange>& ranges() const& noexcept { return ranges_; }

    /// Whether some range lies in the weight file of that name.
    bool holds_rows_of(std::string_view file) const {
        return std::ranges::any_of(ranges_,
                                   [&](const UndoRange& range) { return range.file == file; });
    }

    /// Tells this undo file from any other.
    const std::string& id() const& noexcept { return id_; }

    /// SHA-256 over all ranges as they stand in the weight files now.
    std::string digest_of_current(const Execution& execution) const;

private:
    struct KnownFile {
        std::string name;
        std::uint64_t bytes = 0;
        std::string header_digest;
    };

    explicit UndoFile(formats::SafetensorsFile file) : file_(std::move(file)) {}

    UndoPlace place_;
    std::string id_;
    formats::SafetensorsFile file_;
    std::vector<UndoRange> ranges_;
    std::vector<KnownFile> files_;
    std::optional<std::string> old_receipt_;
};

}  // namespace anamnesis::restore
