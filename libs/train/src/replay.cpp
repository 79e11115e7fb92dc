// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/replay.hpp"

#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

Replay::Replay(std::unique_ptr<BatchSource> learned, std::unique_ptr<BatchSource> replayed)
    : learned_(std::move(learned)), replayed_(std::move(replayed)) {}

std::vector<Batch> Replay::batches(std::uint64_t step) const {
    std::vector<Batch> all = learned_->batches(step);
    std::vector<Batch> more = replayed_->batches(step);
    all.insert(
        all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return all;
}

BatchSource::Size Replay::largest() const {
    const Size learned = learned_->largest();
    const Size replayed = replayed_->largest();
    return learned.rows * learned.length < replayed.rows * replayed.length ? replayed : learned;
}

bool Replay::is_packed() const {
    return learned_->is_packed() || replayed_->is_packed();
}

}  // namespace anamnesis::train
