// SPDX-License-Identifier: Apache-2.0
#include "verify_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/importance.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

#include "adapter_truth.hpp"
#include "expected_rows.hpp"
#include "scaled_rows.hpp"
#include "verify_gguf.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::TensorEntry;

/// Reads rows of a tensor in blocks, mostly in order.
class RowReader {
public:
    explicit RowReader(const TensorEntry& tensor) : tensor_(tensor) {}

    std::span<const std::byte> row(std::uint64_t index) {
        const std::uint64_t row_bytes = tensor_.row_bytes();
        if (index < first_ || index >= first_ + count_) {
            first_ = index;
            count_ = std::min<std::uint64_t>(tensor_.rows() - index,
                                             std::max<std::uint64_t>(1, (1U << 20U) / row_bytes));
            buffer_.resize(count_ * row_bytes);
            tensor_.read_at(first_ * row_bytes, buffer_);
        }
        return std::span(buffer_).subspan((index - first_) * row_bytes, row_bytes);
    }

private:
    const TensorEntry& tensor_;
    std::vector<std::byte> buffer_;
    std::uint64_t first_ = 0;
    std::uint64_t count_ = 0;
};

/// Adds row ranges to a line without listing every row.
std::string describe_rows(const std::vector<std::uint64_t>& rows) {
    std::vector<std::uint32_t> numbers;
    for (const std::uint64_t row : rows) {
        numbers.push_back(static_cast<std::uint32_t>(row));
    }
    std::string text = compact_list(numbers);
    constexpr std::size_t longest = 100;
    if (text.size() > longest) {
        text = text.substr(0, longest) + "…";
    }
    return text;
}

/// Rows that do not begin on whole bytes are compared as one.
TensorEntry in_whole_rows(TensorEntry tensor) {
    if (tensor.row_bytes() == 0) {
        tensor.shape = {};
    }
    return tensor;
}

/// Reads rows of pre, and of the repaired tensor, as values where the storage of both differs.
struct ScaledPair {
    ScaledPair(const VerifySources& sources,
               const TensorEntry& result,
               const ExpectedRows& expected) {
        if (expected.is_dequantised || expected.is_requantised) {
            pre.emplace(sources.pre, *expected.pre);
        }
        if (expected.is_requantised) {
            repaired.emplace(sources.repaired, result);
        }
        if (sources.importance && uses_importance(result.dtype)) {
            importance = sources.importance->find(result);
        }
    }
    /// Whether a row of the repaired tensor is what a row of pre rounds to.
    bool is_rounding(DType dtype, std::uint64_t row, std::uint64_t pre_row) {
        const std::vector<double> wanted = pre->row(pre_row);
        sizes.add(*repaired, row, wanted);
        return matches_after_rounding(
            dtype, repaired->row(row), repaired->scales_of_row(row), wanted);
    }
    /// How many of the new scales are larger than any rounding needs them.
    std::uint64_t count_oversized(DType dtype) const {
        return repaired ? sizes.count_oversized(*repaired, dtype) : 0;
    }

    std::optional<ScaledRows> pre{};
    std::optional<ScaledRows> repaired{};
    BlockSizes sizes{};
    std::vector<float> importance{};  ///< of the tensor, where it is quantised with any
};

/// A row of pre as post stores it; `bytes` is room for a row.
std::span<const std::byte> convert_row(std::span<const std::byte> row,
                                       std::uint64_t pre_index,
                                       std::uint64_t index,
                                       const ExpectedRows& expected,
                                       const ScaledPair& scaled,
                                       const TensorEntry& post,
                                       std::span<std::byte> bytes) {
    const DType dtype = post.dtype;
    if (scaled.pre) {
        narrow(dtype, scaled.pre->row(pre_index), bytes);
        return bytes;
    }
    if (expected.pre->dtype != dtype && is_block_quantised(dtype)) {
        quantise_row({row, expected.pre->dtype}, post, index, scaled.importance, bytes);
        return bytes;
    }
    if (expected.pre->dtype != dtype) {
        convert(expected.pre->dtype, row, dtype, bytes);
        return bytes;
    }
    return row;
}

/// What lerp makes of a row of pre and one of post, derived anew.
class BlendedRow {
public:
    BlendedRow(double alpha, const TensorEntry& pre, const TensorEntry& post)
        : alpha_(alpha),
          pre_dtype_(pre.dtype),
          dtype_(post.dtype),
          before_(post.columns()),
          wanted_(post.columns()),
          found_(post.columns()),
          rounded_(post.row_bytes()) {}

    /// Types of which a value is an element of its own.
    static bool is_possible(const TensorEntry& pre, const TensorEntry& post) {
        return is_arithmetic(pre.dtype) && is_arithmetic(post.dtype);
    }

    bool is(std::span<const std::byte> now,
            std::span<const std::byte> pre,
            std::span<const std::byte> post) {
        if (alpha_ == 0.0) {
            return std::ranges::equal(now, post);
        }
        if (alpha_ == 1.0) {
            convert(pre_dtype_, pre, dtype_, rounded_);
            return std::ranges::equal(now, rounded_);
        }
        widen(pre_dtype_, pre, before_);
        widen(dtype_, post, wanted_);
        double largest = 0.0;
        for (std::size_t i = 0; i < wanted_.size(); ++i) {
            const double size = std::abs(wanted_[i]) + std::abs(before_[i]);
            largest = std::isfinite(size) ? std::max(largest, size) : largest;
            wanted_[i] += alpha_ * (before_[i] - wanted_[i]);
        }
        narrow(dtype_, wanted_, rounded_);
        if (std::ranges::equal(now, rounded_)) {
            return true;
        }
        // Another processor may round the sum of a tie to the other side.
        widen(dtype_, now, found_);
        return is_rounding_of(dtype_, found_, wanted_, 0.5, largest * 0x1p-40);
    }

private:
    double alpha_;
    DType pre_dtype_;
    DType dtype_;
    std::vector<double> before_;
    std::vector<double> wanted_;
    std::vector<double> found_;
    std::vector<std::byte> rounded_;
};

class TensorComparison {
public:
    TensorComparison(const TensorEntry& tensor,
                     const TensorEntry& result,
                     const ExpectedRows& expected,
                     const VerifySources& sources)
        : tensor_(tensor),
          expected_(expected),
          post_(in_whole_rows(tensor)),
          result_(in_whole_rows(result)),
          of_post_(post_),
          of_result_(result_),
          scaled_(sources, result, expected),
          converted_(tensor.row_bytes()) {
        if (expected.pre == nullptr) {
            return;
        }
        of_pre_.emplace(*expected.pre);
        if (sources.request.selection.method == Method::lerp &&
            BlendedRow::is_possible(*expected.pre, tensor)) {
            blended_.emplace(sources.request.alpha, *expected.pre, tensor);
        }
        const bool has_computed = std::ranges::any_of(expected.rows, [](const RowOrigin& origin) {
            return origin.kind == RowOrigin::Kind::computed;
        });
        if (const auto written = sources.written.find(tensor.name);
            has_computed && written != sources.written.end()) {
            written_ = written->second;
        }
    }

    TensorResult run(const Execution& execution) {
        Sha256 digest;
        for (std::uint64_t row = 0; row < post_.rows(); ++row) {
            if (row % 4096 == 0) {
                execution.check();
            }
            const auto now = of_result_.row(row);
            if (written_) {
                digest.update(now);
            }
            check(row, now);
        }
        if (written_) {
            compare_digest(digest.finish());
        }
        if (const std::uint64_t count = scaled_.count_oversized(tensor_.dtype); count > 0) {
            outcome_.deviations.push_back(
                format("tensor {}: {} of its new scales are more than twice what the largest "
                       "values of their blocks need: small values are lost under them",
                       in_quotes(tensor_.name),
                       count));
        }
        add_deviation("pre's", not_pre_);
        add_deviation("post's", not_post_);
        add_deviation("what --method lerp makes of pre and post", not_blended_);
        outcome_.verdict.rows_from_pre -= not_pre_.size();
        outcome_.verdict.rows_from_post -= not_post_.size();
        return outcome_;
    }

private:
    void check(std::uint64_t row, std::span<const std::byte> now) {
        TensorVerdict& verdict = outcome_.verdict;
        const auto before = of_post_.row(row);
        const RowOrigin origin = expected_.pre == nullptr ? RowOrigin{} : expected_.rows[row];
        switch (origin.kind) {
            case RowOrigin::Kind::post:
                ++verdict.rows_from_post;
                if (!std::ranges::equal(now, before)) {
                    not_post_.push_back(row);
                }
                return;
            case RowOrigin::Kind::computed:
                ++verdict.rows_computed;
                if (expected_.has_new_scales) {
                    ++verdict.rows_recomputed;
                } else if (blended_ && blended_->is(now, of_pre_->row(origin.pre_row), before)) {
                    ++verdict.rows_recomputed;
                } else if (blended_) {
                    not_blended_.push_back(row);
                }
                return;
            case RowOrigin::Kind::pre:
                break;
        }
        ++verdict.rows_from_pre;
        if (scaled_.repaired) {
            if (!scaled_.is_rounding(tensor_.dtype, row, origin.pre_row)) {
                not_pre_.push_back(row);
            }
            return;
        }
        const std::span<const std::byte> wanted = convert_row(of_pre_->row(origin.pre_row),
                                                              origin.pre_row,
                                                              row,
                                                              expected_,
                                                              scaled_,
                                                              tensor_,
                                                              converted_);
        if (!std::ranges::equal(now, wanted)) {
            not_pre_.push_back(row);
        }
        if (std::ranges::equal(wanted, before)) {
            ++verdict.rows_equal_in_both;
        }
    }

    void compare_digest(const std::string& digest) {
        if (digest == *written_) {
            outcome_.verdict.is_as_written = true;
            return;
        }
        outcome_.deviations.push_back(
            format("tensor {}: its bytes are not those that the repair wrote: their SHA-256 is {}, "
                   "the receipt has {}",
                   in_quotes(tensor_.name),
                   digest,
                   *written_));
    }

    void add_deviation(std::string_view what, const std::vector<std::uint64_t>& rows) {
        if (!rows.empty()) {
            outcome_.deviations.push_back(format("tensor {}: {} rows should be {} and are not: {}",
                                                 in_quotes(tensor_.name),
                                                 rows.size(),
                                                 what,
                                                 describe_rows(rows)));
        }
    }

    const TensorEntry& tensor_;
    const ExpectedRows& expected_;
    TensorEntry post_;
    TensorEntry result_;
    RowReader of_post_;
    RowReader of_result_;
    std::optional<RowReader> of_pre_{};
    ScaledPair scaled_;
    std::optional<BlendedRow> blended_{};
    std::optional<std::string> written_{};
    std::vector<std::byte> converted_;
    TensorResult outcome_{.verdict = {.name = tensor_.name, .rows = tensor_.rows()},
                          .bytes = tensor_.bytes,
                          .deviations = {}};
    std::vector<std::uint64_t> not_pre_{};
    std::vector<std::uint64_t> not_post_{};
    std::vector<std::uint64_t> not_blended_{};
};

}  // namespace

TensorResult compare_tensor(const TensorEntry& tensor,
                            const TensorEntry& result,
                            const ExpectedRows& expected,
                            const VerifySources& sources,
                            const Execution& execution) {
    if (tensor.bytes == 0) {
        return {
            .verdict = {.name = tensor.name, .rows = tensor.rows()}, .bytes = 0, .deviations = {}};
    }
    return TensorComparison(tensor, result, expected, sources).run(execution);
}

}  // namespace anamnesis::restore
