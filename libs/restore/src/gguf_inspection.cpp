// SPDX-License-Identifier: Apache-2.0
#include "gguf_inspection.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"

namespace anamnesis::restore {
namespace {

/// For each group of tensors, how many of each type.
std::map<std::string, std::map<std::string, std::uint64_t>> count_types(
    const checkpoint::RecognisedCheckpoint& source) {
    std::map<std::string, std::map<std::string, std::uint64_t>> counts;
    for (const checkpoint::TensorEntry& tensor : source.checkpoint.tensors()) {
        const auto group = checkpoint::classify_tensor(source.model, tensor.name);
        ++counts[std::string(group ? checkpoint::to_string(*group) : "mixed")]
                [std::string(to_string(tensor.dtype))];
    }
    return counts;
}

/// Keys that say how the file was made.
std::vector<std::pair<std::string, std::string>> list_origins(const formats::GgufMetadata& data) {
    std::vector<std::pair<std::string, std::string>> origins;
    for (const formats::GgufKey& key : data.keys()) {
        if (key.name == "general.name" || key.name == "general.file_type" ||
            key.name == "general.quantization_version" || key.name.starts_with("quantize.") ||
            key.name.starts_with("anamnesis.")) {
            origins.emplace_back(key.name, data.describe(key));
        }
    }
    return origins;
}

}  // namespace

Json describe_gguf(const checkpoint::RecognisedCheckpoint& source) {
    const formats::GgufFile& file = *source.checkpoint.gguf();
    Json json = Json::Object{{"version", std::uint64_t{file.version}},
                             {"alignment", file.alignment},
                             {"architecture", file.architecture()},
                             {"type", file.type()},
                             {"shards", std::uint64_t{source.checkpoint.files().size()}},
                             {"keys", std::uint64_t{file.metadata.keys().size()}}};
    Json origins = Json::object();
    for (const auto& [key, value] : list_origins(file.metadata)) {
        origins.set(key, value);
    }
    json.set("made", std::move(origins));
    Json groups = Json::object();
    for (const auto& [group, types] : count_types(source)) {
        Json counts = Json::object();
        for (const auto& [type, count] : types) {
            counts.set(type, count);
        }
        groups.set(group, std::move(counts));
    }
    json.set("types", std::move(groups));
    return json;
}

std::string describe_gguf_text(const checkpoint::RecognisedCheckpoint& source) {
    const formats::GgufFile& file = *source.checkpoint.gguf();
    std::string text = format("gguf    version {}, architecture {}, {} of type {}, {} keys\n",
                              file.version,
                              file.architecture(),
                              source.checkpoint.files().size() == 1
                                  ? std::string("one file")
                                  : format("{} shards", source.checkpoint.files().size()),
                              file.type(),
                              file.metadata.keys().size());
    for (const auto& [key, value] : list_origins(file.metadata)) {
        text += format("        {} = {}\n", key, in_quotes(value));
    }
    std::vector<std::string> groups;
    for (const auto& [group, types] : count_types(source)) {
        std::vector<std::string> counts;
        for (const auto& [type, count] : types) {
            counts.push_back(format("{} {}", count, type));
        }
        groups.push_back(format("{}: {}", group, join(counts, ", ")));
    }
    return text + format("types   {}\n", join(groups, "; "));
}

}  // namespace anamnesis::restore
