// SPDX-License-Identifier: Apache-2.0
// For lines {"template", "variables"}: {"text"}, or {"refused"} with the kind of the error.
#include <ctime>
#include <iostream>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

#include "jinja/template.hpp"

namespace {

using namespace anamnesis;

Json render(const Json& line) {
    namespace jinja = language::jinja;
    try {
        const jinja::Template chat(line.at("template").as_string("template"));
        const jinja::Value variables = jinja::Value::read(line.at("variables"));
        const auto clock = [] {
            std::tm day{};
            day.tm_year = 126;
            day.tm_mon = 10;
            day.tm_mday = 28;
            return day;
        };
        return Json::Object{{"text", chat.render(*variables.dict(), clock)}};
    } catch (const Error& error) {
        return Json::Object{{"refused", to_string(error.kind())}, {"message", error.message()}};
    }
}

}  // namespace

int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::cout << render(Json::parse(line)).dump() << "\n";
    }
    return 0;
}
