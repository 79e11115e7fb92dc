// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/recipe.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/train/synthetic/source.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::reproduction {
namespace {

using train::synthetic::Stage;
using train::synthetic::Task;

struct Shape {
    std::uint64_t hidden_size = 96;
    std::uint64_t softmax_heads = 3;
    std::uint64_t softmax_head_dim = 32;
    std::uint64_t lightning_heads = 6;
    std::uint64_t lightning_head_dim = 16;
};

/// HypeNet's blocks, small.
Json make_config(const std::vector<std::string>& mixers, const Shape& shape = {}) {
    Json types = Json::array();
    for (const std::string& mixer : mixers) {
        types.push_back(mixer);
    }
    return Json::Object{{"architectures", Json::Array{"HypeNetForCausalLM"}},
                        {"model_type", "hypenet"},
                        {"dtype", "bfloat16"},
                        {"hidden_size", shape.hidden_size},
                        {"intermediate_size", 2 * shape.hidden_size},
                        {"num_hidden_layers", std::uint64_t{mixers.size()}},
                        {"num_attention_heads", shape.softmax_heads},
                        {"num_key_value_heads", shape.softmax_heads},
                        {"head_dim", shape.softmax_head_dim},
                        {"mixer_types", std::move(types)},
                        {"attn_use_rope", false},
                        {"attn_use_output_gate", false},
                        {"attn_logits_scaling", "hype 64"},
                        {"lightning_nh", shape.lightning_heads},
                        {"lightning_nkv", shape.lightning_heads},
                        {"lightning_head_dim", shape.lightning_head_dim},
                        {"lightning_use_qk_norm", true},
                        {"lightning_use_output_norm", true},
                        {"lightning_use_output_gate", true},
                        {"lightning_use_rope", true},
                        {"lightning_scale", "1/sqrt(d)"},
                        {"rope_theta", 10000.0},
                        {"rms_norm_eps", 1e-6},
                        {"hidden_act", "silu"},
                        {"max_position_embeddings", 4096},
                        {"tie_word_embeddings", false},
                        {"bos_token_id", 1},
                        {"vocab_size", std::uint64_t{train::synthetic::words().size()}}};
}

Json hybrid_config() {
    return make_config({"lightning-attn", "lightning-attn", "attn", "lightning-attn"});
}

Json twin_config() {
    return make_config(std::vector<std::string>(4, "attn"));
}

/// Discriminative learning rates (Howard & Ruder 2018): the mixers of the upper half, and the gains
/// of norms, learn at the full rate, all else at a tenth of it.
Course fine_tune(Task task) {
    return {.task = task,
            .stages = {{300, 24, 112}},
            .learning_rate = 6e-3,
            .warmup = 10,
            .rates = {"mixer+q+k+v+o@0,1=0.1", "mlp+embedding+head=0.1"}};
}

Json numbers(const auto& values) {
    Json list = Json::array();
    for (const auto value : values) {
        list.push_back(value);
    }
    return list;
}

}  // namespace

Recipe standard_recipe() {
    return {.name = "standard",
            .hybrid = hybrid_config(),
            .twin = twin_config(),
            .pretraining = {.task = Task::mix,
                            .stages = {{150, 32, 64}, {500, 20, 128}, {900, 12, 256}},
                            .learning_rate = 3e-3,
                            .warmup = 50},
            .cot = fine_tune(Task::cot),
            .instruction = fine_tune(Task::instruct),
            .lambdas = {1.0, 3.0, 10.0},
            .alpha = 0.5,
            .lengths = {256, 512, 1024, 2048},
            .recall_samples = 50,
            .reasoning_samples = 200,
            .gradient_examples = 32,
            .evaluation_seed = 999};
}

Recipe wide_recipe() {
    Recipe recipe = standard_recipe();
    recipe.name = "wide";
    recipe.hybrid = make_config(
        {"lightning-attn", "lightning-attn", "attn", "lightning-attn", "lightning-attn", "attn"},
        {.hidden_size = 256,
         .softmax_heads = 4,
         .softmax_head_dim = 64,
         .lightning_heads = 8,
         .lightning_head_dim = 32});
    recipe.twin = {};
    recipe.pretraining.learning_rate = 2e-3;
    for (Course* course : {&recipe.cot, &recipe.instruction}) {
        course->learning_rate = 1.5e-3;
        course->rates.clear();
    }
    return recipe;
}

Recipe quick_recipe() {
    Recipe recipe = standard_recipe();
    recipe.name = "quick";
    recipe.pretraining.stages = {{4, 4, 64}};
    recipe.cot.stages = {{3, 4, 112}};
    recipe.instruction.stages = {{3, 4, 112}};
    recipe.lambdas = {1.0};
    recipe.lengths = {128, 256};
    recipe.recall_samples = 4;
    recipe.reasoning_samples = 4;
    recipe.gradient_examples = 3;
    return recipe;
}

Json to_json(const Course& course) {
    Json stages = Json::array();
    for (const Stage& stage : course.stages) {
        stages.push_back(Json::Object{{"steps", stage.steps},
                                      {"rows", std::uint64_t{stage.rows}},
                                      {"length", std::uint64_t{stage.length}}});
    }
    Json rates = Json::array();
    for (const std::string& rate : course.rates) {
        rates.push_back(rate);
    }
    return Json::Object{{"task", to_string(course.task)},
                        {"stages", std::move(stages)},
                        {"lr", course.learning_rate},
                        {"warmup", course.warmup},
                        {"min_lr_ratio", course.min_ratio},
                        {"weight_decay", course.weight_decay},
                        {"lr_scale", std::move(rates)}};
}

Json to_json(const Recipe& recipe) {
    return Json::Object{{"name", recipe.name},
                        {"hybrid", recipe.hybrid},
                        {"twin", recipe.twin},
                        {"pretraining", to_json(recipe.pretraining)},
                        {"cot", to_json(recipe.cot)},
                        {"instruction", to_json(recipe.instruction)},
                        {"lambdas", numbers(recipe.lambdas)},
                        {"alpha", recipe.alpha},
                        {"lengths", numbers(recipe.lengths)},
                        {"recall_samples", std::uint64_t{recipe.recall_samples}},
                        {"reasoning_samples", std::uint64_t{recipe.reasoning_samples}},
                        {"gradient_examples", std::uint64_t{recipe.gradient_examples}},
                        {"evaluation_seed", recipe.evaluation_seed}};
}

}  // namespace anamnesis::reproduction
