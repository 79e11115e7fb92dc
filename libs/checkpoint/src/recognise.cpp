// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shell.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "family.hpp"
#include "gguf/blueprint.hpp"
#include "matching.hpp"
#include "model_warnings.hpp"
#include "nameless.hpp"
#include "refuse_adapters.hpp"
#include "routing_file.hpp"
#include "tensor_names.hpp"
#include "weight_faults.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Names alone tell a family, and a patch has those of its checkpoint.
void refuse_patches(const Checkpoint& checkpoint) {
    for (const WeightFile& file : checkpoint.files()) {
        for (const auto& [key, value] : file.metadata) {
            if (key == patch_key) {
                throw Error(ErrorKind::unsupported,
                            format("{} is a patch of 'restore --patch', some rows of a checkpoint, "
                                   "not one; to repair the checkpoint with it, run 'anamnesis "
                                   "apply {} --to CHECKPOINT'",
                                   in_quotes(file.path().string(), 1000),
                                   quote_for_shell(file.path().string())));
            }
        }
    }
}

Blueprint find_blueprint(const Checkpoint& checkpoint,
                         const TensorNames& names,
                         const RecogniseOptions& options) {
    if (checkpoint.gguf()) {
        return in_context(
            [] { return std::string("reading the metadata"); },
            [&] { return make_gguf_blueprint(*checkpoint.gguf(), names, checkpoint.config()); });
    }
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

/// A GGUF file whose model is not known, for who only looks at it.
Model describe_unknown(const Checkpoint& checkpoint, const Error& why) {
    Model model;
    model.family = checkpoint.gguf()->architecture();
    model.evidence = "not recognised";
    model.findings.push_back(
        make_finding("not_recognised",
                     Severity::error,
                     {},
                     format("which rows are W_Q and W_K is not known: {}", why.message())));
    return model;
}

bool is_told_by_metadata(const Checkpoint& checkpoint, const Error& error) {
    return checkpoint.gguf() &&
           (error.kind() == ErrorKind::unsupported || error.kind() == ErrorKind::malformed);
}

/// Numbers left out, so that one fault of many layers and experts reads as one.
std::string find_pattern(const std::string& problem) {
    std::string pattern;
    for (const char c : problem) {
        if (c < '0' || c > '9') {
            pattern += c;
        } else if (pattern.empty() || pattern.back() != '#') {
            pattern += '#';
        }
    }
    return pattern;
}

/// One line for all problems that differ by numbers alone, with the count and the first three.
std::vector<std::string> join_alike(const std::vector<std::string>& problems) {
    std::vector<std::string> order;
    std::map<std::string, std::vector<std::string>> alike;
    for (const std::string& problem : problems) {
        auto& group = alike[find_pattern(problem)];
        if (group.empty()) {
            order.push_back(find_pattern(problem));
        }
        group.push_back(problem);
    }
    std::vector<std::string> lines;
    for (const std::string& pattern : order) {
        const auto& group = alike[pattern];
        const std::size_t shown = std::min(group.size(), most_examples);
        lines.insert(
            lines.end(), group.begin(), group.begin() + static_cast<std::ptrdiff_t>(shown));
        if (group.size() > shown) {
            lines.push_back(format("and {} more like these", group.size() - shown));
        }
    }
    return lines;
}

std::string describe_problems(const std::vector<std::string>& problems) {
    return join(join_alike(problems), "; ");
}

[[noreturn]] void refuse(const Blueprint& blueprint,
                         const std::vector<std::string>& problems,
                         bool has_config) {
    constexpr std::size_t most_lines = 40;
    std::string message = format("names or shapes contradict the family {}, {} contradiction{}{}",
                                 in_quotes(blueprint.family),
                                 problems.size(),
                                 problems.size() == 1 ? "" : "s",
                                 has_config ? ""
                                            : " (there is no config.json: the family was told from "
                                              "the names; pass one with --config FILE)");
    const std::vector<std::string> lines = join_alike(problems);
    for (std::size_t i = 0; i < std::min(lines.size(), most_lines); ++i) {
        message += "\n  " + lines[i];
    }
    if (lines.size() > most_lines) {
        message += format("\n  and {} more kinds", lines.size() - most_lines);
    }
    throw Error(ErrorKind::mismatch, message);
}

}  // namespace

namespace {

/// A checkpoint whose blueprint is known.
Model match_model(const Checkpoint& checkpoint,
                  const TensorNames& names,
                  Blueprint blueprint,
                  const RecogniseOptions& options) {
    const Json& config = checkpoint.config();
    Matching matching = match(blueprint, names, config);
    std::vector<std::string> problems = std::move(matching.contradictions);
    if (options.missing == Missing::refuse) {
        problems.insert(problems.end(), matching.missing.begin(), matching.missing.end());
    }
    if (!problems.empty()) {
        refuse(blueprint, problems, !config.is_null());
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
    if (options.missing == Missing::warn && !matching.missing.empty()) {
        model.findings.push_back(make_finding("missing_softmax_tensors",
                                              Severity::error,
                                              matching.missing,
                                              describe_problems(matching.missing)));
    }
    model.blueprint = std::make_shared<const Blueprint>(std::move(blueprint));
    complete_from_tensors(
        model, {.names = names, .config = config, .has_draft_head = matching.has_draft_head});
    find_weight_faults(checkpoint, names, model);
    return model;
}

}  // namespace

void refuse_other_files(const Checkpoint& checkpoint) {
    refuse_adapters(checkpoint);
    refuse_patches(checkpoint);
}

Model recognise(const Checkpoint& checkpoint, const RecogniseOptions& options) {
    return in_context(
        [&] { return format("recognising {}", in_quotes(checkpoint.path().string())); },
        [&] {
            refuse_other_files(checkpoint);
            const TensorNames names(checkpoint);
            try {
                return match_model(
                    checkpoint, names, find_blueprint(checkpoint, names, options), options);
            } catch (const Error& error) {
                if (options.missing == Missing::warn && is_told_by_metadata(checkpoint, error)) {
                    return describe_unknown(checkpoint, error);
                }
                throw;
            }
        });
}

std::vector<Finding> RecognisedCheckpoint::findings() const {
    std::vector<Finding> all = checkpoint.findings();
    all.insert(all.end(), model.findings.begin(), model.findings.end());
    return all;
}

RecognisedCheckpoint open_recognised(const std::filesystem::path& path,
                                     const OpenOptions& opening,
                                     const RecogniseOptions& recognising) {
    Checkpoint checkpoint = Checkpoint::open(path, opening);
    Model model = recognise(checkpoint, recognising);
    return {.checkpoint = std::move(checkpoint), .model = std::move(model)};
}

}  // namespace anamnesis::checkpoint
