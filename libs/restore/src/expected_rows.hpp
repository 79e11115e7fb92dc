// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// Where one row of a repaired tensor must come from.
struct RowOrigin {
    enum class Kind : std::uint8_t { post, pre, computed };
    Kind kind = Kind::post;
    std::uint64_t pre_row = 0;
};

struct ExpectedRows {
    const checkpoint::TensorEntry* pre = nullptr;  ///< null where every row is post's
    std::vector<RowOrigin> rows;                   ///< empty where every row is post's
    /// Rows of pre are 8-bit floats with scales, or none, and become another type.
    bool is_dequantised = false;
    /// Rows of pre become 8-bit floats under new scales.
    bool is_requantised = false;
    /// Rows are new scales, which are proven with the rows of their weight.
    bool has_new_scales = false;
};

/// What `verify` wants of each tensor, derived row by row from the roles of the routing map: a rule
/// of its own, which shares no code with the writers' selection (decision 0002).
class Expectations {
public:
    Expectations(const RecognisedCheckpoint& pre,
                 const RecognisedCheckpoint& post,
                 const Request& request);

    /// The rows that a tensor of post must have in the repaired checkpoint.
    ExpectedRows find(const checkpoint::TensorEntry& tensor) const;

private:
    bool wants(const checkpoint::AttentionTensor& tensor) const;
    bool wants(const checkpoint::AttentionTensor& tensor, const checkpoint::RowBlock& block) const;
    RowOrigin::Kind find_kind(const checkpoint::AttentionTensor& tensor,
                              checkpoint::RowRole role) const;
    ExpectedRows find_attention(const checkpoint::TensorEntry& entry,
                                const checkpoint::AttentionTensor& tensor) const;
    std::optional<ExpectedRows> find_scale_of_all(const checkpoint::TensorEntry& entry) const;
    std::optional<ExpectedRows> find_scale(const checkpoint::TensorEntry& entry) const;
    bool is_left_by_fit(const checkpoint::TensorEntry& entry) const;
    ExpectedRows find_whole(const checkpoint::TensorEntry& entry) const;
    void set_storage(const checkpoint::TensorEntry& entry, ExpectedRows& expected) const;
    /// Whether scale and rows of a weight are copied as they are.
    bool is_stored_alike(const checkpoint::TensorEntry& post,
                         const checkpoint::TensorEntry& pre) const;
    const checkpoint::AttentionTensor* find_source(const checkpoint::AttentionTensor& tensor) const;

    const RecognisedCheckpoint& pre_;
    const RecognisedCheckpoint& post_;
    const Request& request_;
    std::map<std::string, const checkpoint::AttentionTensor*> pre_attention_;
    std::map<std::string, const checkpoint::TensorEntry*> pre_tensors_;
};

}  // namespace anamnesis::restore
