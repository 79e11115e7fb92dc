// SPDX-License-Identifier: Apache-2.0
// Input: a patch file, or the description in its metadata; held against a small Llama.
#include <cstddef>
#include <cstdint>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "described_file.hpp"
#include "forged_checkpoint.hpp"
#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

namespace {

using anamnesis::checkpoint::RecognisedCheckpoint;
using anamnesis::testing::TemporaryFolder;

RecognisedCheckpoint open_llama(const TemporaryFolder& folder) {
    anamnesis::testing::forged_llama(1).write(folder);
    return anamnesis::checkpoint::open_recognised(folder.path());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const TemporaryFolder target_folder;
    static const TemporaryFolder patch_folder;
    static const RecognisedCheckpoint target = open_llama(target_folder);
    const std::string bytes =
        anamnesis::fuzz::file_from(anamnesis::fuzz::to_text(data, size),
                                   "anamnesis.patch",
                                   {{.name = "model.layers.0.self_attn.q_proj.weight",
                                     .dtype = anamnesis::DType::bf16,
                                     .shape = {4, 8}},
                                    {.name = "model.layers.0.self_attn.k_proj.weight",
                                     .dtype = anamnesis::DType::bf16,
                                     .shape = {4, 8}}});
    const auto path = patch_folder.write("rows.safetensors", bytes);
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto patch = anamnesis::restore::read_patch(path);
        const auto plan = anamnesis::restore::plan_of_patch(patch, target, {});
        for (const auto& change : plan.changes) {
            anamnesis::fuzz::expect(change.changed_rows() <= change.post->rows(),
                                    "a patch changes rows that are there");
        }
    });
    return 0;
}
