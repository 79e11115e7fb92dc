// SPDX-License-Identifier: Apache-2.0
#include "to_python.hpp"

#include <string_view>

#include <nanobind/nanobind.h>

#include "anamnesis/base/json.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

nb::object decode(std::string_view text) {
    return nb::steal<nb::object>(
        PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

/// What is an integer in the text is one here too.
nb::object make_number(const Json& json) {
    const std::string text = json.dump();
    if (text == "null") {  // NaN and infinity, which JSON has no numbers for
        return nb::none();
    }
    if (text.find_first_of(".eE") == std::string::npos) {
        return nb::steal<nb::object>(PyLong_FromString(text.c_str(), nullptr, 10));
    }
    return nb::float_(json.as_double("a number"));
}

}  // namespace

nb::object to_python(const Json& json) {
    if (json.is_null()) {
        return nb::none();
    }
    if (json.is_boolean()) {
        return nb::bool_(json.as_boolean("a value"));
    }
    if (json.is_string()) {
        return decode(json.as_string("a text"));
    }
    if (json.is_array()) {
        nb::list list;
        for (const Json& element : json.as_array("a list")) {
            list.append(to_python(element));
        }
        return list;
    }
    if (json.is_object()) {
        nb::dict dict;
        for (const auto& [key, value] : json.as_object("an object")) {
            dict[decode(key)] = to_python(value);
        }
        return dict;
    }
    return make_number(json);
}

}  // namespace anamnesis::python
