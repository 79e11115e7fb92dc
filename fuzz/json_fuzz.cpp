// SPDX-License-Identifier: Apache-2.0
// Input: JSON, or what Python writes for it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "anamnesis/base/json.hpp"

#include "fuzz_target.hpp"

namespace {

void round_trip(const anamnesis::Json& value) {
    anamnesis::fuzz::expect(anamnesis::Json::parse(value.dump()) == value, "parse(dump(x)) == x");
    anamnesis::fuzz::expect(anamnesis::Json::parse(value.dump(2)) == value,
                            "parse(dump(x, 2)) == x");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = anamnesis::fuzz::to_text(data, size);
    bool is_json = false;
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto value = anamnesis::Json::parse(text);
        is_json = true;
        round_trip(value);
        anamnesis::fuzz::expect(anamnesis::Json::parse_python(text) == value,
                                "JSON means the same to Python");
    });
    if (!is_json) {
        anamnesis::fuzz::accept_value_or_refusal(
            [&] { round_trip(anamnesis::Json::parse_python(text)); });
    }
    return 0;
}
