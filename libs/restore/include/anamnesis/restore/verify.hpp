// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// What the bytes of one tensor of the repaired checkpoint say.
struct TensorVerdict {
    std::string name;
    std::uint64_t rows = 0;
    std::uint64_t rows_from_pre = 0;   ///< required from pre, and equal to it
    std::uint64_t rows_from_post = 0;  ///< required from post, and equal to it
    std::uint64_t rows_computed = 0;   ///< a method's own values, which bytes cannot prove
    /// Of these: computed again, and equal; or new scales, which the rows of their weight prove.
    std::uint64_t rows_recomputed = 0;
    std::uint64_t rows_equal_in_both = 0;  ///< of the first two: pre and post hold the same bytes
    /// There are computed rows, and the tensor has the digest that the receipt says was written.
    bool is_as_written = false;
};

struct Verification {
    std::vector<TensorVerdict> tensors;  ///< those with rows from pre or computed rows
    std::uint64_t tensors_compared = 0;
    std::uint64_t bytes_compared = 0;
    std::uint64_t rows_from_pre = 0;
    std::uint64_t rows_from_post = 0;
    std::uint64_t rows_computed = 0;
    std::uint64_t rows_recomputed = 0;
    std::vector<std::string> deviations;  ///< empty: proven
    std::vector<std::string> notes;
    std::vector<checkpoint::Finding> findings{};  ///< of pre, post, the pair and the repaired one

    bool is_proven() const { return deviations.empty(); }

    /// Computed rows that were not computed again and whose tensor no receipt has a digest of.
    std::uint64_t count_unchecked() const;
};

/// SHA-256 of tensors as the repair wrote them, by their names in post. They prove the repair of
/// the receipt that they are from, and no other.
using WrittenDigests = std::map<std::string, std::string, std::less<>>;

/// What is compared.
enum class VerifyScope : std::uint8_t {
    folder,   ///< weights and the files beside them
    weights,  ///< weights alone: for a repair that another library has saved again
};

/// Compares three checkpoints byte by byte and tells which rows of the repaired one come from
/// where. Shares no code with what writes: which rows must come from pre is derived here, row by
/// row, from the roles of the routing map.
///
/// Rows of `lerp` are computed again where values are elements of their own. A tensor with rows
/// that another method computed is held against its digest in `written`, where there is one. With
/// `moments` the rows of `fit` are computed again. Another processor may round otherwise: a tensor
/// is proven where every value is at most one step of its type away, and 99.9 % are equal. Errors:
/// with moments, `mismatch` for a request of another method or of several outputs, and
///         those of `make_plan`.
/// Cost: reads post and repaired once, pre's routing rows once; a few MB of memory.
Verification verify(const RecognisedCheckpoint& pre,
                    const RecognisedCheckpoint& post,
                    const RecognisedCheckpoint& repaired,
                    const Request& request,
                    VerifyScope scope,
                    const Execution& execution,
                    const MomentSource* moments = nullptr,
                    const WrittenDigests& written = {});

/// `origin` is where the claim comes from: "the receipt", "the command line".
Json to_json(const Verification& result, const Request& claim, std::string_view origin);

/// The tensors with rows from pre or computed rows.
std::string make_verdict_table(const Verification& result);

/// "proven: 12 tensors, 3.2 GB compared with method qk of the receipt"; "proven but for 128
/// computed rows: …" where some were not checked.
std::string describe_verdict(const Verification& result,
                             const Request& claim,
                             std::string_view origin);

}  // namespace anamnesis::restore
