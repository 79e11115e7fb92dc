// SPDX-License-Identifier: Apache-2.0
#include "model_warnings.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "attention_rules.hpp"
#include "plan_warnings.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

void add(Model& model,
         std::string_view code,
         Severity severity,
         std::string sentence,
         const std::vector<std::string>& names = {}) {
    model.findings.push_back(make_finding(std::string(code), severity, names, std::move(sentence)));
}

const TensorEntry* find_first(const TensorNames& names,
                              std::initializer_list<std::string_view> candidates) {
    for (const std::string_view candidate : candidates) {
        if (const TensorEntry* tensor = names.find(candidate)) {
            return tensor;
        }
    }
    return nullptr;
}

/// A tensor outside the layers, under the name that the blueprint gives it.
const TensorEntry* find_planned(const Model& model,
                                const TensorNames& names,
                                std::string_view role) {
    const PlannedTensor* planned = model.blueprint->find(std::nullopt, role);
    return planned == nullptr ? nullptr : names.find(planned->name);
}

void add_sizes(Model& model, const TensorFacts& facts, const ConfigReader& config) {
    const TensorEntry* embedding = find_planned(model, facts.names, role::embedding);
    if (embedding == nullptr) {
        embedding = find_embedding(facts.names);
    }
    model.hidden_size = read_hidden_size(config);
    model.vocab_size = config.count("vocab_size", 0);
    if (embedding == nullptr || embedding->shape.size() != 2) {
        return;
    }
    const auto agree = [&](std::uint64_t& declared, std::uint64_t stored, const char* words) {
        if (declared != 0 && declared != stored && stored != 0) {
            add(model,
                "config_sizes",
                Severity::error,
                format("config.json says {} {}, tensor {} has shape {}",
                       words,
                       declared,
                       in_quotes(embedding->name),
                       anamnesis::to_string(embedding->shape)),
                {embedding->name});
        }
        declared = declared == 0 ? stored : declared;
    };
    agree(model.vocab_size, embedding->shape[0], "vocab_size");
    agree(model.hidden_size, embedding->shape[1], "hidden_size");
}

void add_head(Model& model, const TensorFacts& facts, const ConfigReader& config) {
    const TensorEntry* head = find_planned(model, facts.names, role::head);
    if (head == nullptr) {
        head = find_first(facts.names, {"lm_head.weight", "embed_out.weight"});
    }
    if (head != nullptr && head->bytes > 0 && model.hidden_size != 0 &&
        (head->shape.size() != 2 || head->shape[1] != model.hidden_size ||
         (model.vocab_size != 0 && head->shape[0] != model.vocab_size))) {
        add(model,
            "wrong_shapes",
            Severity::error,
            format("tensor {} has shape {}, expected [{}, {}]",
                   in_quotes(head->name),
                   anamnesis::to_string(head->shape),
                   model.vocab_size,
                   model.hidden_size),
            {head->name});
    }
    const bool is_stated = config.has("tie_word_embeddings");
    model.is_head_tied =
        model.blueprint->is_head_tied.value_or(config.flag("tie_word_embeddings", head == nullptr));
    if (model.is_head_tied && head != nullptr) {
        add(model,
            "tied_head_stored",
            Severity::note,
            format("the head is tied to the embedding, but tensor {} is there as well",
                   in_quotes(head->name)),
            {head->name});
    } else if (!model.is_head_tied && head == nullptr && is_stated) {
        add(model,
            "missing_head",
            Severity::error,
            "the head is not tied to the embedding, but the checkpoint has no 'lm_head.weight'",
            {"lm_head.weight"});
    }
}

void add_draft_head(Model& model, const TensorFacts& facts, const ConfigReader& config) {
    for (const std::string_view key : {"mtp_num_hidden_layers", "num_nextn_predict_layers"}) {
        const std::uint32_t declared = config.count(key, 0);
        if (declared > 0) {
            if (!facts.has_draft_head) {
                add(model,
                    "draft_head_missing",
                    Severity::warning,
                    format("config.json declares a draft head ({} {}), but the checkpoint has no "
                           "tensors of one",
                           key,
                           declared));
            }
            return;
        }
    }
    if (facts.has_draft_head && !facts.config.is_null()) {
        add(model,
            "draft_head_undeclared",
            Severity::warning,
            "the checkpoint has tensors of a draft head (mtp.*) that config.json does not declare");
    }
}

void add_layers(Model& model, const TensorFacts& facts) {
    const auto& present = facts.names.layers();
    std::vector<std::uint32_t> empty;
    std::vector<std::uint32_t> beyond;
    for (const Layer& layer : model.layers) {
        if (!present.contains(layer.index.value)) {
            empty.push_back(layer.index.value);
        }
    }
    const bool has_draft_layers =
        ConfigReader(facts.config).count("num_nextn_predict_layers", 0) > 0;
    for (const auto& [layer, name] : present) {
        if (layer >= model.layers.size() && !has_draft_layers) {
            beyond.push_back(layer);
        }
    }
    if (!empty.empty()) {
        add(model,
            "layers_missing",
            Severity::error,
            format("layers without any tensor in the checkpoint: {}", compact_list(empty)));
    }
    if (!beyond.empty()) {
        add(model,
            "layers_undeclared",
            Severity::warning,
            format("tensors of layers {} come after the last declared layer, {}",
                   compact_list(beyond),
                   model.layers.size() - 1));
    }
}

/// Engines differ in whether they read the key in families that were made without it.
void add_partial_rotary(Model& model) {
    constexpr std::array<std::string_view, 10> whole{"llama",
                                                     "mistral",
                                                     "mixtral",
                                                     "qwen2",
                                                     "qwen3",
                                                     "qwen2_moe",
                                                     "qwen3_moe",
                                                     "gemma",
                                                     "gemma2",
                                                     "gemma3"};
    if (model.position.partial_rotary_factor &&
        std::ranges::find(whole, model.family) != whole.end()) {
        add(model,
            "partial_rotary",
            Severity::warning,
            format("config.json rotates {} of every head: so does this program, while transformers "
                   "rotates whole heads in family {}",
                   *model.position.partial_rotary_factor,
                   in_quotes(model.family)));
    }
}

}  // namespace

const TensorEntry* find_embedding(const TensorNames& names) {
    return find_first(names,
                      {"embed_tokens.weight",
                       "word_embeddings.weight",
                       "embeddings.weight",
                       "embed_in.weight",
                       "wte.weight",
                       "token_embd.weight"});
}

void complete_from_tensors(Model& model, const TensorFacts& facts) {
    const ConfigReader config(facts.config);
    if (model.evidence == from_memory) {
        add(model,
            "family_from_memory",
            Severity::note,
            format("the rows of the family {} are known from memory; they are used because names "
                   "and shapes fit",
                   in_quotes(model.family)));
    }
    if (facts.config.is_null()) {
        add(model,
            "no_config",
            Severity::warning,
            format("there is no config.json: family {}, layers and heads are told from names and "
                   "shapes, sliding layers and rotary settings cannot be",
                   in_quotes(model.family)));
    }
    add_sizes(model, facts, config);
    add_head(model, facts, config);
    add_draft_head(model, facts, config);
    add_layers(model, facts);
    add_partial_rotary(model);
    if (model.blueprint->is_complete && !facts.config.is_null()) {
        for (Finding& finding : compare_with_plan(*model.blueprint, facts.names)) {
            model.findings.push_back(std::move(finding));
        }
    }
    const auto query_heads = config.find_count("num_attention_heads");
    if (query_heads && *query_heads != 0 && model.hidden_size % *query_heads != 0 &&
        !config.has("head_dim")) {
        add(model,
            "config_heads",
            Severity::warning,
            format("config.json says hidden_size {} and num_attention_heads {}, which do not "
                   "divide, and no head_dim",
                   model.hidden_size,
                   *query_heads));
    }
}

}  // namespace anamnesis::checkpoint
