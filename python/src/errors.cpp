// SPDX-License-Identifier: Apache-2.0
#include "errors.hpp"

#include <array>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "anamnesis/base/error.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

constexpr std::array kinds{ErrorKind::usage,
                           ErrorKind::not_found,
                           ErrorKind::malformed,
                           ErrorKind::unsupported,
                           ErrorKind::mismatch,
                           ErrorKind::io,
                           ErrorKind::exhausted,
                           ErrorKind::cancelled,
                           ErrorKind::numerical,
                           ErrorKind::internal};

/// Text from the outside (paths above all) may be no UTF-8; an error message must not fail by that.
nb::object decode(std::string_view text) {
    return nb::steal<nb::object>(PyUnicode_DecodeUTF8(
        text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

void raise(const Error& error) {
    try {
        nb::list context;
        for (const std::string& line : error.context()) {
            context.append(decode(line));
        }
        const nb::object made =
            nb::module_::import_("anamnesis.errors")
                .attr("make_error")(
                    decode(to_string(error.kind())), decode(error.message()), context);
        PyErr_SetObject(made.type().ptr(), made.ptr());
    } catch (nb::python_error& failure) {
        failure.restore();
    }
}

std::vector<std::string> list_error_kinds() {
    std::vector<std::string> names;
    for (const ErrorKind kind : kinds) {
        names.emplace_back(to_string(kind));
    }
    return names;
}

}  // namespace

void register_errors(nb::module_& module) {
    nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
        try {
            std::rethrow_exception(thrown);
        } catch (const Error& error) {
            raise(error);
        }
    });
    module.def("list_error_kinds", &list_error_kinds, "The words of all kinds of errors.");
    module.def(
        "throw_error",
        [](const std::string& kind, const std::string& message) {
            for (const ErrorKind value : kinds) {
                if (to_string(value) == kind) {
                    throw Error(value, message);
                }
            }
            throw Error(ErrorKind::usage, "there is no such kind of error");
        },
        nb::arg("kind"),
        nb::arg("message"),
        "Raises the exception of a kind.");
}

}  // namespace anamnesis::python
