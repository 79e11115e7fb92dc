// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// Rows of a tensor as float64, read in the plainest way.
linalg::Matrix read_rows(const checkpoint::TensorEntry& tensor, checkpoint::RowRange rows);

/// What an adapter makes of one tensor of the base.
struct AdapterSource {
    const checkpoint::MatchedModule* module = nullptr;
    bool is_bias = false;
    const checkpoint::MatchedSaved* saved = nullptr;
};

/// The rows that base and adapter together have, in float64, from the definition alone: what
/// `verify` compares with. Shares no code with the writers (decision 0002).
class AdapterTruth {
public:
    AdapterTruth(const checkpoint::AdapterMatch& match, const Request& request);

    /// Null where the adapter leaves the tensor alone.
    const AdapterSource* find(const checkpoint::TensorEntry& base) const;

    /// Rows of the base with the adapter.
    linalg::Matrix make_post_rows(const AdapterSource& source,
                                  const checkpoint::TensorEntry& base,
                                  checkpoint::RowRange rows) const;

    /// lambda (M + lambda I)^-1 (post - pre) + pre on the rows of a head: QK-Pro, solved anew.
    /// Nothing where lambda leaves no solution.
    std::optional<linalg::Matrix> filter(const RoutingGroup& group,
                                         const linalg::Matrix& pre,
                                         const linalg::Matrix& post) const;

    const std::vector<RoutingGroup>& groups() const { return groups_; }

    /// The factor A that `fit` makes, mu A (S_C + eps / (1 + mu) I) (S_R + mu S_C + eps I)^-1: its
    /// filter from the other side. Nothing for a factor that it leaves alone.
    /// Errors: those of `load_group_moments`.
    std::optional<linalg::Matrix> fit(const checkpoint::TensorEntry& factor,
                                      const MomentSource& moments) const;

private:
    const checkpoint::AdapterMatch& match_;
    const Request& request_;
    std::map<const checkpoint::TensorEntry*, AdapterSource> sources_;
    std::vector<RoutingGroup> groups_;
    std::vector<FitGroup> fits_;
};

/// Query heads of a group that lie in `tensor`.
std::vector<checkpoint::RowRange> list_heads(const RoutingGroup& group,
                                             const checkpoint::TensorEntry& tensor);

/// Whether each value of `found`, of type `dtype`, is one to which `wanted` may round: within
/// `units` units in the last place, and what float64 sums of the size `reach` lose.
bool is_rounding_of(DType dtype,
                    std::span<const double> found,
                    std::span<const double> wanted,
                    double units,
                    double reach);

}  // namespace anamnesis::restore
