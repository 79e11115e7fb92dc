// SPDX-License-Identifier: Apache-2.0
// Input: a status in two bytes, then the body of a server's reply to a completion.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "endpoint/reply.hpp"
#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace anamnesis;
    if (size < 2) {
        return 0;
    }
    const int status = data[0] % 4 == 0 ? 200 : data[0] * 2 + data[1];
    const std::string body(fuzz::to_text(data + 2, size - 2));
    const eval::Reply reply = eval::read_completion(
        {.status = status, .body = body},
        {.tokens = data[1] % 2 == 0 ? std::nullopt : std::optional<std::size_t>(data[1]),
         .has_extensions = data[1] % 3 == 0,
         .wants_tokens = data[1] % 5 != 0});
    if (const auto* answer = std::get_if<eval::Answer>(&reply)) {
        fuzz::expect(status == 200, "only a 200 is an answer");
        fuzz::expect(data[1] % 2 == 0 || answer->prompt_tokens == data[1],
                     "an answer read the tokens that were sent");
    }
    return 0;
}
