// SPDX-License-Identifier: Apache-2.0
#include "rewrites.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "normalisation.hpp"
#include "tokenizer_file.hpp"

namespace anamnesis::language {
std::string replace_all(std::string_view text, const std::string& from, const std::string& to) {
    std::string result;
    std::size_t done = 0;
    for (std::size_t at = text.find(from); at != std::string_view::npos;
         at = text.find(from, done)) {
        result += text.substr(done, at - done);
        result += to;
        done = at + from.size();
    }
    result += text.substr(done);
    return result;
}

std::string apply_rewrites(std::string_view text, const std::vector<Rewrite>& steps) {
    std::string result(text);
    for (const Rewrite& step : steps) {
        switch (step.kind) {
            case Rewrite::Kind::nfc: {
                std::string composed;
                composed.reserve(result.size());
                append_nfc(composed, result);
                result = std::move(composed);
                break;
            }
            case Rewrite::Kind::prepend:
                if (!result.empty()) {
                    result.insert(0, step.to);
                }
                break;
            case Rewrite::Kind::replace:
                result = replace_all(result, step.from, step.to);
                break;
        }
    }
    return result;
}

}  // namespace anamnesis::language
