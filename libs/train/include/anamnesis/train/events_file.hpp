// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/io/file.hpp"

namespace anamnesis::train {

/// A file of scalar curves that TensorBoard reads: records of a length, its checksum, an `Event`
/// message and its checksum.
/// Source: TensorFlow's record_writer.h, event.proto and summary.proto.
class EventsFile {
public:
    using Scalars = std::vector<std::pair<std::string, double>>;

    /// Makes FOLDER/events.out.tfevents.SECONDS.anamnesis, of the time now; a run that was resumed
    /// adds a file, and TensorBoard joins them. `first_step` purges what earlier files hold from
    /// there on. Errors: `io`.
    EventsFile(const std::filesystem::path& folder, std::uint64_t first_step);

    void add(std::uint64_t step, const Scalars& scalars);

private:
    void append(std::string_view event);

    io::File file_;
    std::uint64_t size_ = 0;
};

/// One record around `data`.
std::string make_record(std::string_view data);

/// An `Event` with a `Summary` of these scalars. `seconds` since 1970.
std::string scalar_event(double seconds, std::uint64_t step, const EventsFile::Scalars& scalars);

/// CRC-32C (Castagnoli), as RFC 3720 has it.
std::uint32_t crc32c(std::string_view data);

}  // namespace anamnesis::train
