// SPDX-License-Identifier: Apache-2.0
// Input: the text of a routing file, held against a small Llama.
#include <cstddef>
#include <cstdint>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "checked_model.hpp"
#include "forged_checkpoint.hpp"
#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const anamnesis::testing::TemporaryFolder folder;
    static const auto checkpoint = [] {
        anamnesis::testing::forged_llama().write(folder);
        return anamnesis::checkpoint::Checkpoint::open(folder.path());
    }();
    const auto routing = folder.write("routing.json", anamnesis::fuzz::to_text(data, size));
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto model = recognise(checkpoint, {.routing = routing});
        anamnesis::fuzz::expect_valid_rows(checkpoint, model);
    });
    return 0;
}
