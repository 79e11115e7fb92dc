// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Finds pre's counterpart of each post tensor: by its name, else by its canonical name, else, for
/// a block that layers share, by the name that it has under another of its users.
class Pairing {
public:
    Pairing(const RecognisedCheckpoint& pre, const RecognisedCheckpoint& post);

    /// Null where pre has none.
    const checkpoint::TensorEntry* find_pre(const std::string& post_name) const;
    const checkpoint::AttentionTensor* find_pre_attention(
        const checkpoint::AttentionTensor& post) const;
    /// The canonical names of a checkpoint's tensors, those of shared blocks under any user.
    std::unordered_set<std::string> list_names(const RecognisedCheckpoint& post) const;
    /// Whether one of these is that of a tensor.
    bool holds(const std::unordered_set<std::string>& names, const std::string& canonical) const;

private:
    const RecognisedCheckpoint* pre_;
    std::unordered_map<std::string, const checkpoint::TensorEntry*> by_canonical_name_;
    std::unordered_map<std::string, const checkpoint::AttentionTensor*> attention_;
    /// For each layer the one that its shared block is stored under; empty without shared blocks.
    std::vector<LayerIndex> homes_;
};

/// Rows of `post` with the rows of `pre` that have the same role and head.
struct PairedRows {
    checkpoint::RowBlock post;
    std::uint64_t pre_row = 0;
};

/// All rows of a pair of attention tensors, ascending in post.
/// A block without counterpart in pre adds a line to `problems` and is left out.
std::vector<PairedRows> pair_rows(const checkpoint::AttentionTensor& pre,
                                  const checkpoint::AttentionTensor& post,
                                  std::vector<std::string>& problems);

/// What makes a repair of `post` from `pre` meaningless, one line each; `findings` takes what a
/// user should know and nothing forbids.
std::vector<std::string> find_disagreements(const RecognisedCheckpoint& pre,
                                            const RecognisedCheckpoint& post,
                                            const Request& request,
                                            std::vector<checkpoint::Finding>& findings);

}  // namespace anamnesis::restore
