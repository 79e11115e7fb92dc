// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/variant.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::reproduction {
namespace {

using checkpoint::TensorGroup;
using restore::Method;

Variant trained(std::string name, std::string description, Training training) {
    return {.name = std::move(name),
            .description = std::move(description),
            .training = std::move(training)};
}

Variant repaired(std::string name, std::string description, restore::Request request) {
    return {.name = std::move(name),
            .description = std::move(description),
            .repair = Repair{.pre = "pre", .post = "post", .request = std::move(request)}};
}

restore::Request make_request(Method method) {
    restore::Request request;
    request.selection.method = method;
    return request;
}

const std::set<TensorGroup> softmax_attention{
    TensorGroup::q, TensorGroup::k, TensorGroup::v, TensorGroup::o};

restore::Request fit_request(std::set<TensorGroup> groups, double mu, std::uint32_t rounds) {
    restore::Request request = make_request(Method::fit);
    request.selection.groups = std::move(groups);
    request.fit.mus = {mu};
    request.fit.rounds = rounds;
    return request;
}

void add_twin(std::vector<Variant>& variants, const Recipe& recipe) {
    variants.push_back(trained("softmax-pre",
                               "pretrained, softmax attention in every layer",
                               {.config = &recipe.twin, .course = &recipe.pretraining}));
    variants.push_back(trained("softmax-post",
                               "softmax-pre, fine-tuned on chains of thought",
                               {.start = "softmax-pre", .course = &recipe.cot}));
    variants.push_back(
        {.name = "softmax-qk",
         .description = "softmax-post with W_Q and W_K of softmax-pre",
         .repair = Repair{
             .pre = "softmax-pre", .post = "softmax-post", .request = make_request(Method::qk)}});
}

}  // namespace

std::string pro_name(double lambda) {
    return format("pro-{}", lambda);
}

std::vector<Variant> make_variants(const Recipe& recipe) {
    std::vector<Variant> variants;
    variants.push_back(
        trained("pre", "pretrained", {.config = &recipe.hybrid, .course = &recipe.pretraining}));
    variants.push_back(trained(
        "post", "pre, fine-tuned on chains of thought", {.start = "pre", .course = &recipe.cot}));
    variants.push_back(trained("instruct",
                               "pre, fine-tuned on questions answered without a chain of thought",
                               {.start = "pre", .course = &recipe.instruction}));
    variants.push_back(trained("frozen",
                               "as post, with W_Q and W_K of softmax layers frozen",
                               {.start = "pre", .course = &recipe.cot, .frozen = "qk"}));
    variants.push_back(
        repaired("qk", "post with W_Q and W_K of pre: QK-Restore", make_request(Method::qk)));
    for (const double lambda : recipe.lambdas) {
        restore::Request request = make_request(Method::pro);
        request.lambdas = {{.value = lambda, .is_relative = true}};
        variants.push_back(repaired(
            pro_name(lambda), format("QK-Pro, relative lambda {}", lambda), std::move(request)));
    }
    restore::Request lerp = make_request(Method::lerp);
    lerp.alpha = recipe.alpha;
    variants.push_back(repaired("lerp",
                                format("W_Q and W_K {} of the way from post to pre", recipe.alpha),
                                std::move(lerp)));
    variants.push_back(repaired(fit_name,
                                "W_Q and W_K fitted to recall texts and chains, mu 0.3",
                                fit_request({TensorGroup::q, TensorGroup::k}, 0.3, 0)));
    variants.push_back(repaired("refit",
                                "the same in two rounds, mu 0.1",
                                fit_request({TensorGroup::q, TensorGroup::k}, 0.1, 2)));
    variants.push_back(repaired("fit-qkvo",
                                "the whole softmax attention fitted, mu 1",
                                fit_request(softmax_attention, 1.0, 0)));
    variants.push_back(repaired(
        "refit-qkvo", "the same in two rounds, mu 0.3", fit_request(softmax_attention, 0.3, 2)));
    restore::Request whole = make_request(Method::groups);
    whole.selection.groups = softmax_attention;
    variants.push_back(repaired("qkvo", "post with the whole softmax attention of pre", whole));
    variants.push_back(repaired("q", "post with W_Q of pre", make_request(Method::q)));
    variants.push_back(repaired("k", "post with W_K of pre", make_request(Method::k)));
    variants.push_back(repaired("v", "post with W_V of pre", make_request(Method::v)));
    if (!recipe.twin.is_null()) {
        add_twin(variants, recipe);
    }
    return variants;
}

}  // namespace anamnesis::reproduction
