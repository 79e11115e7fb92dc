// SPDX-License-Identifier: Apache-2.0
// Input: the text of a config.json, held against small checkpoints of three families.
#include <array>
#include <cstddef>
#include <cstdint>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "checked_model.hpp"
#include "forged_checkpoint.hpp"
#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

namespace {

using anamnesis::checkpoint::Checkpoint;
using anamnesis::checkpoint::Missing;
using anamnesis::testing::ForgedCheckpoint;
using anamnesis::testing::TemporaryFolder;

/// Queries with gates beside a linear mixer.
ForgedCheckpoint forged_qwen3_next() {
    ForgedCheckpoint forged;
    forged.add("model.embed_tokens.weight", {16, 8});
    forged.add("model.layers.0.linear_attn.in_proj_qkvz.weight", {24, 8});
    forged.add("model.layers.0.linear_attn.A_log", {2});
    forged.add("model.layers.1.self_attn.q_proj.weight", {16, 8});
    forged.add("model.layers.1.self_attn.k_proj.weight", {4, 8});
    forged.add("model.layers.1.self_attn.v_proj.weight", {4, 8});
    forged.add("model.layers.1.self_attn.o_proj.weight", {8, 8});
    forged.add("model.layers.1.self_attn.q_norm.weight", {4});
    forged.add("model.layers.1.self_attn.k_norm.weight", {4});
    forged.add("model.norm.weight", {8});
    return forged;
}

/// Queries, keys and values in one tensor, interleaved by head.
ForgedCheckpoint forged_gpt_neox() {
    ForgedCheckpoint forged;
    forged.add("gpt_neox.embed_in.weight", {16, 8});
    forged.add("gpt_neox.layers.0.attention.query_key_value.weight", {24, 8});
    forged.add("gpt_neox.layers.0.attention.query_key_value.bias", {24});
    forged.add("gpt_neox.layers.0.attention.dense.weight", {8, 8});
    forged.add("embed_out.weight", {16, 8});
    return forged;
}

struct Folders {
    std::array<TemporaryFolder, 3> checkpoints;

    Folders() {
        write(0, anamnesis::testing::forged_llama());
        write(1, forged_qwen3_next());
        write(2, forged_gpt_neox());
    }

private:
    void write(std::size_t i, ForgedCheckpoint forged) const {
        forged.config = anamnesis::Json();
        forged.write(checkpoints.at(i));
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Folders folders;
    const TemporaryFolder* const first = folders.checkpoints.data();
    const auto config = first->write("fuzzed.json", anamnesis::fuzz::to_text(data, size));
    for (const TemporaryFolder& folder : folders.checkpoints) {
        anamnesis::fuzz::accept_value_or_refusal([&] {
            const auto checkpoint = Checkpoint::open(folder.path(), {.config = config});
            for (const Missing missing : {Missing::refuse, Missing::warn}) {
                anamnesis::fuzz::accept_value_or_refusal([&] {
                    const auto model = recognise(checkpoint, {.missing = missing});
                    anamnesis::fuzz::expect_valid_rows(checkpoint, model);
                });
            }
        });
    }
    return 0;
}
