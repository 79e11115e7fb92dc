// SPDX-License-Identifier: Apache-2.0
#include "template.hpp"

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/utf8.hpp"

#include "interpreter.hpp"
#include "parser.hpp"
#include "symbols.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {

Template::Template(std::string_view source) {
    if (!is_utf8(source)) {
        throw Error(ErrorKind::malformed, "the template is no UTF-8 text");
    }
    body_ = std::make_shared<const Body>(parse_template(source));
    hidden_ = std::make_shared<const HiddenNames>(find_hidden_names(*body_));
}

std::string Template::render(const Dict& variables,
                             const std::function<std::tm()>& now,
                             const Limits& limits) const {
    return Interpreter(variables, *hidden_, now, limits).run(*body_);
}

}  // namespace anamnesis::language::jinja
