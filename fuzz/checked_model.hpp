// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "fuzz_target.hpp"

namespace anamnesis::fuzz {

/// What every recognised model promises: its rows are rows of tensors that are there.
inline void expect_valid_rows(const checkpoint::Checkpoint& checkpoint,
                              const checkpoint::Model& model) {
    for (const checkpoint::AttentionTensor& tensor : model.attention) {
        const checkpoint::TensorEntry* entry = checkpoint.find(tensor.name);
        expect(entry != nullptr && entry->rows() == tensor.rows, "a recognised tensor is there");
        std::uint64_t covered = 0;
        for (const checkpoint::RowBlock& block : tensor.blocks) {
            expect(block.rows.begin == covered && block.rows.end > covered,
                   "blocks ascend without a gap");
            covered = block.rows.end;
        }
        expect(covered == tensor.rows, "blocks cover every row");
    }
}

}  // namespace anamnesis::fuzz
