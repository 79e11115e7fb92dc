// SPDX-License-Identifier: Apache-2.0
#include "source.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/memory_tensor.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "request.hpp"
#include "to_python.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

using checkpoint::Checkpoint;
using checkpoint::MemoryTensor;
using checkpoint::Missing;

/// Errors: `unsupported` for a name that safetensors does not have.
DType parse_dtype(const std::string& tensor, const std::string& name) {
    const std::optional<DType> dtype = find_safetensors_dtype(name);
    if (!dtype) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} has the type {}, which safetensors does not have",
                           in_quotes(tensor),
                           in_quotes(name)));
    }
    return *dtype;
}

/// Null for an empty text.
Json parse_config(const std::string& text) {
    return in_context([] { return std::string("reading the config"); },
                      [&] { return text.empty() ? Json() : Json::parse_python(text); });
}

std::shared_ptr<Source> recognise(Checkpoint checkpoint,
                                  const Reading& reading,
                                  Missing missing,
                                  std::vector<NamedTensor> tensors) {
    checkpoint::Model model = checkpoint::recognise(checkpoint, reading.recognising(missing));
    return std::make_shared<Source>(
        Source{.recognised = {.checkpoint = std::move(checkpoint), .model = std::move(model)},
               .tensors = std::move(tensors)});
}

std::shared_ptr<Source> open_source(const std::filesystem::path& path,
                                    const Reading& reading,
                                    bool lacks_tensors) {
    const Missing missing = lacks_tensors ? Missing::warn : Missing::refuse;
    return recognise(Checkpoint::open(path, reading.opening()), reading, missing, {});
}

std::shared_ptr<Source> make_source(const std::string& label,
                                    std::vector<NamedTensor> tensors,
                                    const std::string& config,
                                    const Reading& reading) {
    std::vector<MemoryTensor> listed;
    for (const auto& [name, dtype, shape, bytes] : tensors) {
        listed.push_back({.name = name,
                          .dtype = parse_dtype(name, dtype),
                          .shape = shape,
                          .bytes = std::as_bytes(std::span(bytes.data(), bytes.size()))});
    }
    return recognise(checkpoint::make_memory_checkpoint(label, listed, parse_config(config)),
                     reading,
                     Missing::refuse,
                     std::move(tensors));
}

std::shared_ptr<Source> make_source_of_shapes(const std::string& label,
                                              const std::vector<NamedShape>& shapes,
                                              const std::string& config,
                                              const Reading& reading) {
    std::vector<MemoryTensor> listed;
    for (const auto& [name, dtype, shape] : shapes) {
        listed.push_back({.name = name, .dtype = parse_dtype(name, dtype), .shape = shape});
    }
    return recognise(checkpoint::make_shape_checkpoint(label, listed, parse_config(config)),
                     reading,
                     Missing::refuse,
                     {});
}

std::shared_ptr<Source> make_source_of_config(const std::string& config, const Reading& reading) {
    return recognise(
        checkpoint::make_planned_checkpoint(parse_config(config)), reading, Missing::refuse, {});
}

}  // namespace

void declare_sources(nb::module_& module) {
    nb::class_<Source>(module, "Source", "A checkpoint that was recognised.")
        .def_prop_ro("family", [](const Source& source) { return source.recognised.model.family; })
        .def("findings", [](const Source& source) {
            return to_python(checkpoint::to_json(source.recognised.findings()));
        });
    using Released = nb::call_guard<nb::gil_scoped_release>;
    module.def("open_source",
               &open_source,
               nb::arg("path"),
               nb::arg("reading"),
               nb::arg("lacks_tensors") = false,
               Released());
    // Not released: the owners of the bytes are counted.
    module.def("make_source",
               &make_source,
               nb::arg("label"),
               nb::arg("tensors"),
               nb::arg("config"),
               nb::arg("reading"));
    module.def("make_source_of_shapes",
               &make_source_of_shapes,
               nb::arg("label"),
               nb::arg("shapes"),
               nb::arg("config"),
               nb::arg("reading"),
               Released());
    module.def("make_source_of_config",
               &make_source_of_config,
               nb::arg("config"),
               nb::arg("reading"),
               Released());
}

}  // namespace anamnesis::python
