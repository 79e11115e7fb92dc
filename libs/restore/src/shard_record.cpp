// SPDX-License-Identifier: Apache-2.0
#include "shard_record.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/sampled_digest.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

Json to_json(const DriftSums& sums) {
    return Json::Object{{"difference", sums.difference},
                        {"reference", sums.reference},
                        {"count", sums.count},
                        {"skipped", sums.skipped}};
}

DriftSums drift_from_json(const Json& json) {
    return {.difference = json.at("difference").as_double("difference"),
            .reference = json.at("reference").as_double("reference"),
            .count = json.at("count").as_unsigned("count"),
            .skipped = json.at("skipped").as_unsigned("skipped")};
}

Json describe(const checkpoint::Checkpoint& checkpoint) {
    const fs::path place = checkpoint.is_single_file() ? checkpoint.path() : checkpoint.folder();
    std::error_code error;
    const fs::path path = fs::weakly_canonical(place, error);
    return Json::Object{{"path", (error ? place : path).string()},
                        {"sample", io::sampled_digest(place.string())}};
}

/// How the names and the config of the output are written.
Json describe(const OutputOptions& options) {
    return Json::Object{{"clean names", options.has_clean_names},
                        {"fixed config", options.has_fixed_config},
                        {"stamp", options.has_stamp}};
}

}  // namespace

Json describe_settings(const Plan& plan, const OutputOptions& options, std::size_t shards) {
    Json settings = Json::Object{{"shards", std::uint64_t{shards}},
                                 {"request", to_json(plan.request)},
                                 {"output", describe(options)},
                                 {"pre", describe(plan.pre->checkpoint)},
                                 {"post", describe(plan.post->checkpoint)}};
    if (!plan.request.importance.empty()) {
        settings.set("imatrix", io::sampled_digest(plan.request.importance));
    }
    return settings;
}

Json to_json(const ShardRecord& record) {
    Json measures = Json::object();
    for (const auto& [name, measure] : record.measures) {
        measures.set(name,
                     Json::Object{{"pre_digest", measure.pre_digest},
                                  {"post_digest", measure.post_digest},
                                  {"result_digest", measure.result_digest},
                                  {"before", to_json(measure.before)},
                                  {"after", to_json(measure.after)},
                                  {"differs", measure.differs},
                                  {"non_finite_in_pre", measure.non_finite_in_pre},
                                  {"non_finite_in_result", measure.non_finite_in_result}});
    }
    return Json::Object{{"settings", record.settings},
                        {"files", record.files},
                        {"bytes_written", record.bytes_written},
                        {"bytes_linked", record.bytes_linked},
                        {"measures", std::move(measures)}};
}

ShardRecord shard_record_from_json(const Json& json) {
    ShardRecord record{.settings = json.at("settings"),
                       .files = json.at("files"),
                       .bytes_written = json.at("bytes_written").as_unsigned("bytes_written"),
                       .bytes_linked = json.at("bytes_linked").as_unsigned("bytes_linked")};
    for (const auto& [name, one] : json.at("measures").as_object("measures")) {
        record.measures[name] = {
            .pre_digest = one.at("pre_digest").as_string("pre_digest"),
            .post_digest = one.at("post_digest").as_string("post_digest"),
            .result_digest = one.at("result_digest").as_string("result_digest"),
            .before = drift_from_json(one.at("before")),
            .after = drift_from_json(one.at("after")),
            .differs = one.at("differs").as_boolean("differs"),
            .non_finite_in_pre = one.at("non_finite_in_pre").as_unsigned("non_finite_in_pre"),
            .non_finite_in_result =
                one.at("non_finite_in_result").as_unsigned("non_finite_in_result")};
    }
    return record;
}

}  // namespace anamnesis::restore
