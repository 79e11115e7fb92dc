// SPDX-License-Identifier: Apache-2.0
// Input: a template, which renders a small chat.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/language/chat_template.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using anamnesis::language::ChatMessage;
    static const std::vector<ChatMessage> messages{
        {.role = "system", .content = "Be brief."},
        {.role = "user", .content = " What is 6 times 7?\n"},
        {.role = "assistant", .content = "42", .reasoning_content = "6 * 7"}};
    anamnesis::fuzz::accept_value_or_refusal([&] {
        static_cast<void>(
            anamnesis::language::ChatTemplate::read(anamnesis::fuzz::to_text(data, size))
                .render(messages));
    });
    return 0;
}
