// SPDX-License-Identifier: Apache-2.0
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

void refuse_unless(Method method, bool is_given, std::string_view option, const Request& request) {
    if (is_given && request.selection.method != method) {
        throw Error(ErrorKind::usage,
                    format("{} belongs to --method {}", option, to_string(method)));
    }
}

void add_lambdas(const std::vector<double>& values, bool is_relative, Request& request) {
    for (const double value : values) {
        if (!(value >= 0.0)) {
            throw Error(ErrorKind::usage, format("lambda {} is negative or not a number", value));
        }
        const auto is_same = [&](const Lambda& other) {
            return other.value == value && other.is_relative == is_relative;
        };
        if (std::ranges::any_of(request.lambdas, is_same)) {
            throw Error(ErrorKind::usage,
                        format("lambda {} is given twice; each gives an output of its own", value));
        }
        request.lambdas.push_back({.value = value, .is_relative = is_relative});
    }
}

void choose_groups(Request& request, const GivenSettings& given) {
    const Method method = request.selection.method;
    if (!given.has_groups) {
        if (method == Method::fit) {
            request.selection.groups = {checkpoint::TensorGroup::q, checkpoint::TensorGroup::k};
        }
        return;
    }
    if (!given.has_method) {
        request.selection.method = Method::groups;
    } else if (method != Method::lerp && method != Method::fit) {
        throw Error(ErrorKind::usage,
                    format("--groups goes with --method lerp and fit, or takes the place of "
                           "--method; --method {} was given too",
                           to_string(method)));
    }
}

}  // namespace

void take_everything(Selection& selection) {
    using enum checkpoint::TensorGroup;
    selection.groups = {q, k, v, o, gate, latent, mlp, mixer, norms, embedding, head, other};
    selection.has_sliding = true;
    selection.has_draft_heads = true;
    selection.has_norms = true;
    selection.has_adapters = true;
}

Request complete_request(Request request, const GivenSettings& given) {
    if (given.has_method && request.selection.method == Method::groups) {
        throw Error(ErrorKind::usage, "--method groups is given as --groups LIST");
    }
    choose_groups(request, given);
    refuse_unless(Method::pro, !given.relative_lambdas.empty(), "--lambda-rel", request);
    refuse_unless(Method::pro, !given.absolute_lambdas.empty(), "--lambda", request);
    refuse_unless(Method::pro, given.has_metric, "--metric", request);
    refuse_unless(Method::lerp, given.has_alpha, "--alpha", request);
    if (!given.relative_lambdas.empty() || !given.absolute_lambdas.empty()) {
        request.lambdas.clear();
        add_lambdas(given.relative_lambdas, true, request);
        add_lambdas(given.absolute_lambdas, false, request);
    }
    return request;
}

}  // namespace anamnesis::restore
