// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "matching.hpp"
#include "model_warnings.hpp"
#include "nameless.hpp"
#include "routing_file.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

Blueprint blueprint_from_config(const Json& config, const RecogniseOptions& options) {
    return in_context([] { return std::string("reading config.json"); },
                      [&] {
                          const ConfigReader reader(config);
                          if (!options.family) {
                              return make_blueprint(architecture_of(reader), reader);
                          }
                          const Architecture* architecture = find_architecture(*options.family);
                          if (architecture == nullptr) {
                              refuse_family(*options.family);
                          }
                          return make_blueprint(*architecture, reader);
                      });
}

Blueprint blueprint_for(const Checkpoint& checkpoint,
                        const TensorNames& names,
                        const RecogniseOptions& options) {
    if (options.routing) {
        return read_routing_file(*options.routing, checkpoint.config());
    }
    return checkpoint.config().is_null() ? blueprint_without_config(names, options.family)
                                         : blueprint_from_config(checkpoint.config(), options);
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
            Blueprint blueprint = blueprint_for(checkpoint, names, options);
            Matching matching = match(blueprint, names, config);
            std::vector<std::string> problems = std::move(matching.contradictions);
            if (options.missing == Missing::refuse) {
                problems.insert(problems.end(), matching.missing.begin(), matching.missing.end());
            }
            if (!problems.empty()) {
                refuse(blueprint, problems);
            }
            Model model;
            model.family = std::move(blueprint.family);
            model.model_type = config.is_null() ? std::string() : model_type_of(config);
            model.evidence = std::move(blueprint.evidence);
            model.heads = blueprint.heads;
            model.rotary = blueprint.rotary;
            model.qk_norm = blueprint.qk_norm;
            model.position = std::move(blueprint.position);
            model.layers = std::move(blueprint.layers);
            model.attention = std::move(matching.attention);
            if (options.missing == Missing::warn) {
                model.warnings = std::move(matching.missing);
            }
            complete_from_tensors(model,
                                  {.names = names,
                                   .config = config,
                                   .is_tied_by_default = blueprint.is_tied_by_default,
                                   .has_draft_head = matching.has_draft_head});
            return model;
        });
}

}  // namespace anamnesis::checkpoint
