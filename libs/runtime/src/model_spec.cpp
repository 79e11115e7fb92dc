// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/model_spec.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::Blueprint;
using checkpoint::ConfigReader;

/// The planned name of a tensor outside the layers.
std::string find_name(const Blueprint& blueprint,
                      std::string_view role,
                      std::string_view without_plan) {
    const checkpoint::PlannedTensor* tensor = blueprint.find(std::nullopt, role);
    return tensor == nullptr ? std::string(without_plan) : tensor->name;
}

/// Where the text model's tensors are: a flat config may come with nested names.
std::string find_prefix(const checkpoint::Checkpoint& checkpoint, const std::string& embedding) {
    for (const std::string_view prefix : {"model.language_model.",
                                          "language_model.model.",
                                          "model.",
                                          "backbone.",
                                          "gpt_neox.",
                                          "transformer.",
                                          ""}) {
        if (checkpoint.find(std::string(prefix) + embedding) != nullptr) {
            return std::string(prefix);
        }
    }
    throw Error(
        ErrorKind::not_found,
        format("no tensor {} in {}", in_quotes("model." + embedding), checkpoint.path().string()));
}

/// Errors: `unsupported` for a family that does not run.
void refuse_what_does_not_run(const checkpoint::Model& model) {
    if (model.blueprint == nullptr ||
        (!model.blueprint->is_complete && !model.blueprint->obstacle)) {
        const std::vector<std::string> running = checkpoint::families_that_run();
        if (std::ranges::find(running, model.family) != running.end()) {
            throw Error(ErrorKind::unsupported,
                        format("a routing file says which rows are what, and not how a model "
                               "computes; family {} runs without --routing",
                               in_quotes(model.family)));
        }
        throw Error(ErrorKind::unsupported,
                    format("models of family {} do not run here; these do: {}",
                           in_quotes(model.family),
                           join(running, ", ")));
    }
}

bool find_head_tied(const checkpoint::Checkpoint& checkpoint,
                    const Blueprint& blueprint,
                    const std::string& head) {
    const bool is_tied = checkpoint.find(head) == nullptr;
    if (is_tied && !blueprint.is_head_tied.value_or(true)) {
        throw Error(ErrorKind::not_found,
                    format("no tensor {} in {}, and config.json says that the head "
                           "is not tied to the embedding",
                           in_quotes(head),
                           checkpoint.path().string()));
    }
    return is_tied;
}

}  // namespace

ModelSpec describe(const checkpoint::Checkpoint& checkpoint, const checkpoint::Model& model) {
    refuse_what_does_not_run(model);
    if (model.blueprint->obstacle) {
        throw *model.blueprint->obstacle;
    }
    const std::string name =
        find_name(*model.blueprint, checkpoint::role::embedding, "embed_tokens.weight");
    std::string head = find_name(*model.blueprint, checkpoint::role::head, "lm_head.weight");
    ModelSpec spec{.blueprint = model.blueprint, .prefix = find_prefix(checkpoint, name)};
    // A wrapper may keep the whole text model, head and all, below one name.
    if (spec.prefix == "language_model.model." && checkpoint.find(head) == nullptr) {
        spec.head_prefix = "language_model.";
        head = spec.head_prefix + head;
    }
    spec.is_head_tied = find_head_tied(checkpoint, *model.blueprint, head);
    const checkpoint::TensorEntry& embedding = checkpoint.at(spec.prefix + name);
    if (embedding.shape.size() != 2 || embedding.shape[0] > ConfigReader::largest_count ||
        embedding.shape[1] > ConfigReader::largest_count || embedding.bytes == 0) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} has shape {}, expected [vocab_size, hidden_size]",
                           in_quotes(embedding.name),
                           to_string(embedding.shape)));
    }
    spec.vocabulary_size = static_cast<std::uint32_t>(embedding.shape[0]);
    spec.hidden_size = static_cast<std::uint32_t>(embedding.shape[1]);
    spec.context_length = model.blueprint->context_length;
    spec.layers = model.blueprint->specs;
    return spec;
}

}  // namespace anamnesis::runtime
