// SPDX-License-Identifier: Apache-2.0
// Input: the text of a config.json.
#include <cstddef>
#include <cstdint>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto layers = anamnesis::checkpoint::layers_of_config(
            anamnesis::Json::parse_python(anamnesis::fuzz::to_text(data, size)));
        for (std::size_t i = 0; i < layers.size(); ++i) {
            anamnesis::fuzz::expect(layers[i].index.value == i, "layers are numbered in order");
            anamnesis::fuzz::expect(!layers[i].kinds.empty(), "every layer has a kind");
        }
    });
    return 0;
}
