// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

/// Rows of a second source in every step, so that what is not trained any more is not forgotten.
class Replay final : public BatchSource {
public:
    Replay(std::unique_ptr<BatchSource> learned, std::unique_ptr<BatchSource> replayed);

    std::vector<Batch> batches(std::uint64_t step) const override;
    Size largest() const override;
    bool is_packed() const override;

private:
    std::unique_ptr<BatchSource> learned_;
    std::unique_ptr<BatchSource> replayed_;
};

}  // namespace anamnesis::train
