// SPDX-License-Identifier: Apache-2.0
#include "globals.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "argument_reader.hpp"
#include "interpreter.hpp"
#include "python_text.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {
namespace {

using Action = Value (*)(Interpreter&, const Arguments&);

class Global : public Function {
public:
    explicit Global(Action action) : action_(action) {}
    Value call(Interpreter& interpreter, Arguments arguments) const override {
        return action_(interpreter, arguments);
    }

private:
    Action action_;
};

/// As the sandbox of Jinja.
constexpr std::int64_t longest_range = 100'000;

Value range(Interpreter& interpreter, const Arguments& arguments) {
    const ArgumentReader reader("range", {"start", "stop", "step"}, arguments);
    const bool has_one = arguments.positional.size() < 2;
    const std::int64_t begin = has_one ? 0 : reader.require_whole("start");
    const std::int64_t end = reader.require_whole(has_one ? "start" : "stop");
    const std::int64_t step = reader.get_whole("step", 1);
    if (step == 0) {
        throw Error(ErrorKind::usage, "the step of 'range' is 0");
    }
    Sequence items{.kind = Sequence::Kind::range,
                   .name = step == 1 ? format("range({}, {})", begin, end)
                                     : format("range({}, {}, {})", begin, end, step)};
    for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
        if (static_cast<std::int64_t>(items.items.size()) >= longest_range) {
            throw Error(ErrorKind::usage,
                        format("a range of more than {} numbers is not allowed", longest_range));
        }
        items.items.emplace_back(at);
        if (__builtin_add_overflow(at, step, &at)) {
            break;
        }
    }
    interpreter.spend(items.items.size());
    return items;
}

/// What dict() and namespace() make of a dict, pairs or named arguments.
Dict read_pairs(std::string_view name, const Arguments& arguments) {
    Dict result;
    if (arguments.positional.size() > 1) {
        throw Error(ErrorKind::usage, format("'{}' takes one dict at most", name));
    }
    if (!arguments.positional.empty()) {
        const Value& given = arguments.positional.front();
        if (given.dict() != nullptr) {
            result = *given.dict();
        } else {
            for (const Value& item : list_items(given)) {
                std::vector<Value> pair = list_items(item);
                if (pair.size() != 2) {
                    throw Error(ErrorKind::usage, format("'{}' takes pairs", name));
                }
                result.set(std::move(pair[0]), std::move(pair[1]));
            }
        }
    }
    for (const auto& [key, value] : arguments.named) {
        result.set(key, value);
    }
    return result;
}

Value make_dict(Interpreter& interpreter, const Arguments& arguments) {
    interpreter.spend(1);
    return read_pairs("dict", arguments);
}

Value make_namespace(Interpreter& interpreter, const Arguments& arguments) {
    const Dict names = read_pairs("namespace", arguments);
    auto space = interpreter.make_namespace();
    for (const auto& [key, value] : names.items) {
        if (key.text() == nullptr || key.text()->starts_with("_")) {
            throw Error(ErrorKind::usage,
                        "a namespace takes names that do not begin with an underscore");
        }
        space->names.set(key, value);
    }
    return space;
}

Value raise_exception(Interpreter& /*interpreter*/, const Arguments& arguments) {
    const ArgumentReader reader("raise_exception", {"message"}, arguments);
    throw Error(
        ErrorKind::usage,
        format("the chat template refuses this chat: {}", to_text(reader.require("message"))));
}

Value strftime_now(Interpreter& interpreter, const Arguments& arguments) {
    const ArgumentReader reader("strftime_now", {"format"}, arguments);
    const std::string& pattern = reader.require_text("format");
    constexpr std::string_view known = "aAbBcdDeFHIjmMpSTuUVwWxXyYGZz%-";
    for (std::size_t at = pattern.find('%'); at != std::string::npos;
         at = pattern.find('%', at + 2)) {
        const char letter = at + 1 < pattern.size() ? pattern[at + 1] : ' ';
        if (known.find(letter) == std::string_view::npos) {
            throw Error(ErrorKind::unsupported,
                        format("'%{}' in the format of a date is not supported", letter));
        }
    }
    if (pattern.empty()) {
        return "";
    }
    const std::tm now = interpreter.now();
    std::string text(pattern.size() * 16 + 64, '\0');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text.resize(std::strftime(text.data(), text.size(), pattern.c_str(), &now));
#pragma GCC diagnostic pop
    return text;
}

Value refuse(Interpreter& /*interpreter*/, const Arguments& /*arguments*/) {
    throw Error(ErrorKind::unsupported, "'cycler', 'joiner' and 'lipsum' are not supported");
}

}  // namespace

std::map<std::string, Value, std::less<>> list_globals() {
    std::map<std::string, Value, std::less<>> names;
    const std::array<std::pair<const char*, Action>, 8> functions{{
        {"range", range},
        {"dict", make_dict},
        {"namespace", make_namespace},
        {"raise_exception", raise_exception},
        {"strftime_now", strftime_now},
        {"cycler", refuse},
        {"joiner", refuse},
        {"lipsum", refuse},
    }};
    for (const auto& [name, action] : functions) {
        names.emplace(name, std::shared_ptr<const Function>(std::make_shared<Global>(action)));
    }
    return names;
}

}  // namespace anamnesis::language::jinja
