// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "measure.hpp"

namespace anamnesis::restore {

/// What a shard leaves for the process that puts the output together.
struct ShardRecord {
    Json settings{};  ///< of the whole repair: the same in all shards
    Json files{};     ///< as a receipt has them
    std::map<std::string, ChangeMeasure> measures{};  ///< by the tensor's name in post
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_linked = 0;
};

/// What makes a repair another one: its request, the checkpoints by a sample of their
/// bytes, how the output is written, and how it is divided.
Json describe_settings(const Plan& plan, const OutputOptions& options, std::size_t shards);

Json to_json(const ShardRecord& record);
/// Errors: `malformed` for anything `to_json` does not write.
ShardRecord shard_record_from_json(const Json& json);

}  // namespace anamnesis::restore
