// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/chat_variables.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {

Json parse_chat_variables(const std::vector<std::string>& variables) {
    Json result;
    for (const std::string& variable : variables) {
        const std::size_t mark = variable.find('=');
        if (mark == std::string::npos || mark == 0) {
            throw Error(ErrorKind::usage,
                        format("--chat-var is NAME=JSON, not {}", in_quotes(variable)));
        }
        const std::string value = variable.substr(mark + 1);
        try {
            result.set(variable.substr(0, mark), Json::parse(value));
        } catch (const Error&) {
            result.set(variable.substr(0, mark), value);
        }
    }
    return result;
}

}  // namespace anamnesis::language
