// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "active_job.hpp"
#include "answering.hpp"
#include "prefix_cache.hpp"

namespace anamnesis::serve {

/// The prompt of a job, read block by block from whole blocks on.
class PromptReading {
public:
    /// Begins from what `cache` holds of the prompt, where the job allows it.
    PromptReading(const runtime::HybridModel& model,
                  std::shared_ptr<const ActiveJob> source,
                  std::size_t block,
                  PrefixCache& cache);

    const ActiveJob& source() const { return *source_; }
    std::size_t tokens_left() const { return source_->job.prompt.size() - done_; }
    std::size_t reused_tokens() const { return reused_; }

    /// Reads to the end of the block, or of the prompt, and keeps the state after a whole block.
    /// Returns the tokens read. Errors: those of the model.
    std::size_t read_block(PrefixCache& cache, std::uint64_t most_bytes);

    /// Tells that the prompt is read. Called once, without tokens left.
    std::vector<Answer> begin_answers();

private:
    void score(const at::Tensor& hidden);

    const runtime::HybridModel& model_;
    std::shared_ptr<const ActiveJob> source_;
    std::size_t block_;
    runtime::NetworkState state_;
    std::size_t done_ = 0;
    std::size_t reused_ = 0;
    at::Tensor last_hidden_;
    std::vector<ScoredToken> scores_;
};

}  // namespace anamnesis::serve
