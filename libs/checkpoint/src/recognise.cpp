// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "family.hpp"
#include "matching.hpp"
#include "model_warnings.hpp"
#include "nameless.hpp"
#include "routing_file.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

Blueprint find_blueprint(const Checkpoint& checkpoint,
                         const TensorNames& names,
                         const RecogniseOptions& options) {
    if (options.routing) {
        return read_routing_file(*options.routing, checkpoint.config());
    }
    if (checkpoint.config().is_null()) {
        return blueprint_without_config(names, options.family);
    }
    BlueprintOptions asked{.family = options.family};
    if (const TensorEntry* embedding = find_embedding(names);
        embedding != nullptr && embedding->shape.size() == 2 &&
        std::ranges::max(embedding->shape) <= ConfigReader::largest_count) {
        asked.vocabulary_size = static_cast<std::uint32_t>(embedding->shape[0]);
        asked.hidden_size = static_cast<std::uint32_t>(embedding->shape[1]);
    }
    return in_context([] { return std::string("reading config.json"); },
                      [&] { return make_blueprint(checkpoint.config(), asked); });
}

[[noreturn]] void refuse(const Blueprint& blueprint, const std::vector<std::string>& problems) {
    constexpr std::size_t most_lines = 40;
    std::string message = format("names or shapes contradict the family {}, {} contradiction{}",
                                 in_quotes(blueprint.family),
                                 problems.size(),
                                 problems.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < std::min(problems.size(), most_lines); ++i) {
        message += "\n  " + problems[i];
    }
    if (problems.size() > most_lines) {
        message += format("\n  and {} more", problems.size() - most_lines);
    }
    throw Error(ErrorKind::mismatch, message);
}

}  // namespace

Model recognise(const Checkpoint& checkpoint, const RecogniseOptions& options) {
    return in_context(
        [&] { return format("recognising {}", in_quotes(checkpoint.path().string())); },
        [&] {
            const TensorNames names(checkpoint);
            const Json& config = checkpoint.config();
            Blueprint blueprint = find_blueprint(checkpoint, names, options);
            Matching matching = match(blueprint, names, config);
            std::vector<std::string> problems = std::move(matching.contradictions);
            if (options.missing == Missing::refuse) {
                problems.insert(problems.end(), matching.missing.begin(), matching.missing.end());
            }
            if (!problems.empty()) {
                refuse(blueprint, problems);
            }
            Model model;
            model.family = blueprint.family;
            model.model_type = config.is_null() ? std::string() : read_model_type(config);
            model.evidence = blueprint.evidence;
            model.heads = blueprint.heads;
            model.rotary = blueprint.rotary;
            model.qk_norm = blueprint.qk_norm;
            model.position = blueprint.position;
            model.layers = blueprint.layers;
            model.attention = std::move(matching.attention);
            if (options.missing == Missing::warn) {
                model.warnings = std::move(matching.missing);
            }
            model.blueprint = std::make_shared<const Blueprint>(std::move(blueprint));
            complete_from_tensors(
                model,
                {.names = names, .config = config, .has_draft_head = matching.has_draft_head});
            return model;
        });
}

RecognisedCheckpoint open_recognised(const std::filesystem::path& path,
                                     const OpenOptions& opening,
                                     const RecogniseOptions& recognising) {
    Checkpoint checkpoint = Checkpoint::open(path, opening);
    Model model = recognise(checkpoint, recognising);
    return {.checkpoint = std::move(checkpoint), .model = std::move(model)};
}

}  // namespace anamnesis::checkpoint
