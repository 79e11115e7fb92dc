// SPDX-License-Identifier: Apache-2.0
// Input: adapter_config.json of a LoRA adapter.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "anamnesis/checkpoint/adapter_config.hpp"

#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace anamnesis;
    fuzz::accept_value_or_refusal([&] {
        const checkpoint::AdapterConfig config =
            checkpoint::parse_adapter_config(fuzz::to_text(data, size));
        fuzz::expect(config.rank >= 1, "a rank is at least 1");
        for (const char* path : {"model.layers.3.self_attn.q_proj", "lm_head", ""}) {
            const auto strength = checkpoint::find_strength(config, path);
            fuzz::expect(strength.rank >= 1, "the rank of a module is at least 1");
            fuzz::expect(std::isfinite(checkpoint::make_scale(config, strength)),
                         "a scale is a number");
        }
    });
    return 0;
}
