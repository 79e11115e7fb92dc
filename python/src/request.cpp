// SPDX-License-Identifier: Apache-2.0
#include "request.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/row_selection.hpp"
#include "anamnesis/restore/request.hpp"

#include "to_python.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

using restore::Request;

using Numbers = std::optional<std::vector<std::uint32_t>>;

std::optional<std::set<std::uint32_t>> to_set(const Numbers& numbers) {
    if (!numbers) {
        return std::nullopt;
    }
    return std::set<std::uint32_t>(numbers->begin(), numbers->end());
}

/// What decides which rows a repair takes and where their bytes come from.
Request make_request(const std::optional<std::string>& method,
                     const std::optional<std::string>& groups,
                     const std::vector<double>& lambda_rel,
                     const std::vector<double>& lambda_abs,
                     const std::optional<std::string>& metric,
                     const std::optional<double>& alpha) {
    Request request;
    if (method) {
        request.selection.method = parse_word(restore::method_words, *method, "method");
    }
    if (groups == "all") {
        restore::take_everything(request.selection);
    } else if (groups) {
        request.selection.groups = checkpoint::parse_tensor_groups(*groups, "groups");
    }
    if (metric) {
        request.metric = parse_word(restore::metric_words, *metric, "metric");
    }
    if (alpha) {
        if (!(*alpha >= 0.0 && *alpha <= 1.0)) {
            throw Error(ErrorKind::usage,
                        format("alpha is {}, expected a number from 0 to 1", *alpha));
        }
        request.alpha = *alpha;
    }
    return restore::complete_request(std::move(request),
                                     {.has_method = method.has_value(),
                                      .has_groups = groups.has_value(),
                                      .relative_lambdas = lambda_rel,
                                      .absolute_lambdas = lambda_abs,
                                      .has_metric = metric.has_value(),
                                      .has_alpha = alpha.has_value()});
}

void take_rows(Request& request,
               const Numbers& layers,
               const Numbers& heads,
               bool bias,
               bool include_sliding,
               bool include_mtp,
               bool include_norms,
               bool include_adapters) {
    restore::Selection& selection = request.selection;
    selection.layers = to_set(layers);
    selection.kv_heads = to_set(heads);
    selection.has_biases = bias;
    selection.has_sliding = selection.has_sliding || include_sliding;
    selection.has_draft_heads = selection.has_draft_heads || include_mtp;
    selection.has_norms = selection.has_norms || include_norms;
    selection.has_adapters = selection.has_adapters || include_adapters;
}

void allow(Request& request, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        request.allowed.insert(parse_word(restore::allowance_words, word, "allow"));
    }
}

/// Errors: `usage` for another method, and for a mu that is negative or no number.
void set_fit(Request& request,
             const std::vector<double>& mu,
             const std::string& keys,
             std::uint32_t rounds) {
    if (request.selection.method != restore::Method::fit) {
        throw Error(ErrorKind::usage, "mu, moments and rounds belong to method fit");
    }
    for (const double value : mu) {
        if (!(value >= 0.0)) {
            throw Error(ErrorKind::usage, format("mu {} is negative or not a number", value));
        }
    }
    if (rounds > restore::most_fit_rounds) {
        throw Error(ErrorKind::usage,
                    format("rounds is {}, expected at most {}", rounds, restore::most_fit_rounds));
    }
    request.fit.mus = mu;
    request.fit.keys = parse_word(restore::key_inputs_words, keys, "keys");
    request.fit.rounds = rounds;
}

void set_quantising(Request& request,
                    const std::string& imatrix,
                    const std::string& via,
                    bool exact) {
    request.importance = imatrix;
    request.via = parse_word(checkpoint::gguf_via_words, via, "via");
    request.is_exact = exact;
}

void declare_reading(nb::module_& module) {
    nb::class_<Reading>(module, "Reading", "How checkpoints are read.")
        .def(
            "__init__",
            [](Reading* self,
               std::optional<std::string> family,
               std::optional<std::filesystem::path> routing,
               std::optional<std::filesystem::path> config,
               bool strict) {
                new (self) Reading{.family = std::move(family),
                                   .routing = std::move(routing),
                                   .config = std::move(config),
                                   .is_strict = strict};
            },
            nb::arg("family") = nb::none(),
            nb::arg("routing") = nb::none(),
            nb::arg("config") = nb::none(),
            nb::arg("strict") = false);
}

}  // namespace

void declare_requests(nb::module_& module) {
    declare_reading(module);
    nb::class_<Request>(module, "Request", "What a repair takes, and how rows become the new ones.")
        .def("take_rows",
             &take_rows,
             nb::arg("layers").none(),
             nb::arg("heads").none(),
             nb::arg("bias"),
             nb::arg("include_sliding"),
             nb::arg("include_mtp"),
             nb::arg("include_norms"),
             nb::arg("include_adapters"))
        .def("allow", &allow, nb::arg("words"))
        .def("set_fit", &set_fit, nb::arg("mu"), nb::arg("keys"), nb::arg("rounds"))
        .def(
            "set_quantising", &set_quantising, nb::arg("imatrix"), nb::arg("via"), nb::arg("exact"))
        .def_rw("note", &Request::note)
        .def("to_dict", [](const Request& request) { return to_python(to_json(request)); });
    module.def("make_request",
               &make_request,
               nb::arg("method").none(),
               nb::arg("groups").none(),
               nb::arg("lambda_rel"),
               nb::arg("lambda_abs"),
               nb::arg("metric").none(),
               nb::arg("alpha").none());
    module.def(
        "parse_numbers",
        [](const std::string& text, const std::string& what) {
            return parse_number_list(text, what);
        },
        nb::arg("text"),
        nb::arg("what"));
}

}  // namespace anamnesis::python
