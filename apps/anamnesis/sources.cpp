// SPDX-License-Identifier: Apache-2.0
#include "sources.hpp"

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "open_checkpoint.hpp"
#include "options.hpp"

namespace anamnesis::app {
namespace {

restore::Method method_of(const std::string& name) {
    using restore::Method;
    for (const Method method :
         {Method::qk, Method::q, Method::k, Method::v, Method::pro, Method::lerp, Method::align}) {
        if (restore::name_of(method) == name) {
            return method;
        }
    }
    throw Error(ErrorKind::usage, format("--method {} is not known", in_quotes(name)));
}

std::set<std::uint32_t> numbers_of(const std::string& text, const char* option) {
    const auto list = parse_number_list(text, option);
    return {list.begin(), list.end()};
}

void add_lambdas(const std::vector<double>& values,
                 bool is_relative,
                 std::vector<restore::Lambda>& lambdas) {
    for (const double value : values) {
        if (!(value >= 0.0) || std::isnan(value)) {
            throw Error(ErrorKind::usage, format("lambda {} is negative or no number", value));
        }
        lambdas.push_back({.value = value, .is_relative = is_relative});
    }
}

restore::Source open(const std::string& path,
                     const ReadingOptions& options,
                     checkpoint::Missing missing) {
    OpenedCheckpoint opened = open_checkpoint(path, options, missing);
    return {std::move(opened.checkpoint), std::move(opened.model)};
}

}  // namespace

restore::Source open_source(const std::string& path,
                            const ReadingOptions& options,
                            const std::string& role) {
    return in_context([&] { return format("opening {} {}", role, in_quotes(path, 1000)); },
                      [&] { return open(path, options, checkpoint::Missing::refuse); });
}

restore::Source open_source_for_reading(const std::string& path, const ReadingOptions& options) {
    return open(path, options, checkpoint::Missing::warn);
}

restore::Request request_of(const SelectionOptions& options) {
    restore::Request request;
    restore::Selection& selection = request.selection;
    selection.method = method_of(options.method);
    if (!options.groups.empty()) {
        if (options.method != "qk") {
            throw Error(ErrorKind::usage,
                        format("--groups takes the place of --method; --method {} was given too",
                               options.method));
        }
        selection.method = restore::Method::groups;
        for (const std::string& name : split(options.groups, ',')) {
            const auto group = checkpoint::find_tensor_group(name);
            if (!group) {
                throw Error(ErrorKind::usage,
                            format("--groups: {} is no tensor group; there are q, k, v, o, gate, "
                                   "latent, mlp, mixer, norms, embedding, head, other",
                                   in_quotes(name)));
            }
            selection.groups.insert(*group);
        }
    }
    if (!options.layers.empty()) {
        selection.layers = numbers_of(options.layers, "--layers");
    }
    if (!options.heads.empty()) {
        selection.kv_heads = numbers_of(options.heads, "--heads");
    }
    selection.has_biases = !options.no_bias;
    selection.has_sliding = options.include_sliding;
    selection.has_draft_heads = options.include_mtp;
    selection.has_norms = options.include_norms;
    selection.has_adapters = options.include_adapters;

    const bool is_pro = selection.method == restore::Method::pro;
    if (!is_pro && (!options.lambda_relative.empty() || !options.lambda_absolute.empty())) {
        throw Error(ErrorKind::usage, "--lambda-rel and --lambda belong to --method pro");
    }
    if (is_pro && (!options.lambda_relative.empty() || !options.lambda_absolute.empty())) {
        request.lambdas.clear();
        add_lambdas(options.lambda_relative, true, request.lambdas);
        add_lambdas(options.lambda_absolute, false, request.lambdas);
    }
    request.metric = options.metric == "rope"   ? restore::ProMetric::rope
                     : options.metric == "gain" ? restore::ProMetric::gain
                                                : restore::ProMetric::gram;
    request.alpha = options.alpha;
    for (const std::string& name : options.allow) {
        if (const auto allowance = restore::find_allowance(name)) {
            request.allowed.insert(*allowance);
        }
    }
    return request;
}

restore::Execution execution_of(const CommonOptions& options, const Watch& watch) {
    return {.threads = options.threads != 0 ? options.threads : available_threads(),
            .progress = &watch.progress(),
            .stop = watch.stop()};
}

}  // namespace anamnesis::app
