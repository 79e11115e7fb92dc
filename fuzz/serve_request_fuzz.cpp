// SPDX-License-Identifier: Apache-2.0
// Input: which of the four kinds of requests it is, then the body.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz_target.hpp"
#include "http/requests.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace anamnesis;
    if (size == 0) {
        return 0;
    }
    const std::string_view body = fuzz::to_text(data + 1, size - 1);
    fuzz::accept_value_or_refusal([&] {
        switch (data[0] % 4) {
            case 0: {
                const serve::CompletionRequest request = serve::parse_completion_request(body);
                fuzz::expect(
                    !request.prompts.empty() && request.prompts.size() <= serve::most_prompts,
                    "a completion has some prompts, and not too many");
                fuzz::expect(request.how.answers >= 1 &&
                                 request.how.decoding.alternatives <= serve::most_alternatives,
                             "answers and alternatives are bounded");
                break;
            }
            case 1:
                fuzz::expect(serve::parse_chat_request(body).messages.is_array(),
                             "a chat has messages");
                break;
            case 2:
                static_cast<void>(serve::parse_tokenize_request(body));
                break;
            default:
                static_cast<void>(serve::parse_detokenize_request(body));
        }
    });
    return 0;
}
