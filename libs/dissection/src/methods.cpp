// SPDX-License-Identifier: Apache-2.0
#include "methods.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/shell.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

#include "arms.hpp"

namespace anamnesis::dissection {
namespace {

using checkpoint::TensorGroup;
using Groups = std::set<TensorGroup>;

const Groups routing{TensorGroup::q, TensorGroup::k};
const Groups attention{TensorGroup::q, TensorGroup::k, TensorGroup::v, TensorGroup::o};

std::string describe_groups(const Groups& groups) {
    std::vector<std::string> words;
    for (const TensorGroup group : groups) {
        words.emplace_back(checkpoint::to_string(group));
    }
    return join(words, ",");
}

Method make_lerp(const Groups& groups, const std::string& what, double alpha) {
    Method method{.name = format("lerp {} {}", what, alpha)};
    restore::Selection& selection = method.request.selection;
    selection.method = restore::Method::lerp;
    selection.groups = groups;
    selection.has_sliding = true;
    selection.has_norms = groups.contains(TensorGroup::norms);
    selection.has_adapters = true;
    method.request.alpha = alpha;
    return method;
}

Method make_fit(const Groups& groups, double mu) {
    Method method{.name = format("fit {} {}", describe_groups(groups), mu)};
    method.request.selection.method = restore::Method::fit;
    method.request.selection.groups = groups;
    method.request.fit.mus = {mu};
    return method;
}

bool can_be_fitted(const Groups& groups) {
    static const Groups fitted{TensorGroup::q,
                               TensorGroup::k,
                               TensorGroup::v,
                               TensorGroup::o,
                               TensorGroup::gate,
                               TensorGroup::mlp,
                               TensorGroup::head};
    return !groups.empty() &&
           std::ranges::all_of(groups, [](TensorGroup group) { return fitted.contains(group); });
}

}  // namespace

std::vector<Method> list_methods(const Groups& found) {
    std::vector<Method> methods;
    methods.push_back({.name = "qk", .request = {}});
    Method pro{.name = "pro 1"};
    pro.request.selection.method = restore::Method::pro;
    methods.push_back(std::move(pro));
    Groups all;
    for (auto group = TensorGroup::q; group <= TensorGroup::other;
         group = static_cast<TensorGroup>(static_cast<int>(group) + 1)) {
        all.insert(group);
    }
    for (const double alpha : {0.3, 0.5, 0.7}) {
        methods.push_back(make_lerp(all, "all", alpha));
        if (!found.empty() && found != all) {
            methods.push_back(make_lerp(found, describe_groups(found), alpha));
        }
    }
    methods.push_back(make_fit(routing, 0.3));
    methods.push_back(make_fit(attention, 1.0));
    if (can_be_fitted(found) && found != routing && found != attention) {
        methods.push_back(make_fit(found, 1.0));
    }
    return methods;
}

std::vector<std::string> list_commands(const checkpoint::RecognisedCheckpoint& pre,
                                       const checkpoint::RecognisedCheckpoint& post,
                                       const std::vector<restore::Request>& requests) {
    std::vector<std::string> commands;
    std::string source = post.checkpoint.path().string();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const std::string out =
            i + 1 == requests.size() ? std::string("repaired") : format("repaired-{}", i + 1);
        const bool is_fit = requests[i].selection.method == restore::Method::fit;
        commands.push_back(
            format("anamnesis restore --pre {} --post {}{}{} --out {}",
                   quote_for_shell(pre.checkpoint.path().string()),
                   quote_for_shell(source),
                   describe_options(requests[i], post),
                   is_fit ? " --calibrate-recall RECALL --calibrate-chains REASONING" : "",
                   out));
        source = out;
    }
    return commands;
}

}  // namespace anamnesis::dissection
