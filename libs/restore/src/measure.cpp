// SPDX-License-Identifier: Apache-2.0
#include "measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/equal_weights.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"
#include "row_values.hpp"
#include "written_scales.hpp"

namespace anamnesis::restore {
namespace {

/// Small enough that the values of a block stay in the cache of a core.
constexpr std::uint64_t block_bytes = 1U << 17U;

/// Compares rows of pre with the same rows elsewhere (post itself, or the result).
struct RowComparison {
    DriftSums drift;
    bool differs = false;
    std::uint64_t non_finite_in_pre = 0;
    std::uint64_t non_finite_elsewhere = 0;
};

std::uint64_t count_non_finite(std::span<const double> values) {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(values, [](double value) { return !std::isfinite(value); }));
}

/// Fills the span with what lies at an offset of a file, or of what is like one.
using ReadAt = std::function<void(std::uint64_t, std::span<std::byte>)>;

/// Rows as they lie in a tensor, from `first` on.
struct RowBytes {
    std::uint64_t first = 0;
    std::span<const std::byte> bytes;
};

/// What gives the rows elsewhere their scales; both null: nothing does.
struct OtherScales {
    RowValues* in_post = nullptr;      ///< rows of post, read with their scales
    WrittenScales* written = nullptr;  ///< those of rows that were rounded under new scales
};

/// The values of both sides' rows, where they have some.
class BothValues {
public:
    BothValues(const Plan& plan, const TensorChange& change, OtherScales other)
        : change_(change),
          pre_(plan.pre->checkpoint, *change.pre),
          other_(other.in_post),
          written_(other.written) {
        const bool is_pre_scaled = checkpoint::is_scaled(change.pre->dtype);
        // Requantised rows may come from a type that has no scales.
        if (other_ != nullptr &&
            (!checkpoint::is_scaled(change.post->dtype) || !other_->has_values() ||
             !pre_.has_values() ||
             (!change.is_requantised() && other_->is_scaled() != pre_.is_scaled()))) {
            other_ = nullptr;
        }
        // A plain cast to 8-bit floats, whose values are what they say.
        const bool is_cast = checkpoint::is_scaled(change.post->dtype) && change.is_converted() &&
                             !change.is_requantised();
        has_values_ = (other_ != nullptr || written_ != nullptr || is_cast ||
                       is_readable(change.post->dtype)) &&
                      (is_pre_scaled ? pre_.has_values() : is_readable(change.pre->dtype));
    }

    void add(const RowBytes& before, const RowBytes& after, RowComparison& sum) {
        if (!has_values_) {
            return;
        }
        before_.resize(count_elements(change_.pre->dtype, before.bytes.size()));
        after_.resize(before_.size());
        if (checkpoint::is_scaled(change_.pre->dtype)) {
            pre_.read(before.first * change_.pre->columns(), before_);
        } else {
            widen(change_.pre->dtype, before.bytes, before_);
        }
        if (other_ != nullptr) {
            other_->read(after.first * change_.post->columns(), after_);
        } else {
            widen(change_.post->dtype, after.bytes, after_);
            if (written_ != nullptr) {
                written_->multiply(after.first, after_);
            }
        }
        const std::uint64_t skipped = sum.drift.skipped;
        sum.drift.add(before_, after_);
        if (sum.drift.skipped != skipped) {
            sum.non_finite_in_pre += count_non_finite(before_);
            sum.non_finite_elsewhere += count_non_finite(after_);
        }
    }

private:
    static bool is_readable(DType dtype) {
        return is_arithmetic(dtype) || (can_dequantise(dtype) && dtype != DType::nvfp4);
    }

    const TensorChange& change_;
    RowValues pre_;
    RowValues* other_;
    WrittenScales* written_;
    bool has_values_ = false;
    std::vector<double> before_;
    std::vector<double> after_;
};

RowComparison compare_rows(const TensorChange& change,
                           const ReadAt& read_other,
                           const std::vector<std::uint64_t>& other_offsets,
                           BothValues values,
                           const Execution& execution) {
    const std::uint64_t pre_row_bytes = change.pre->row_bytes();
    const std::uint64_t post_row_bytes = change.post->row_bytes();
    // By values too: a few bits of a quantised type are a float64 each.
    const std::uint64_t row_size =
        std::max({pre_row_bytes, post_row_bytes, change.post->columns() * sizeof(std::uint16_t)});
    const std::uint64_t rows_at_once = std::max<std::uint64_t>(1, block_bytes / row_size);
    std::vector<std::byte> before(rows_at_once * pre_row_bytes);
    std::vector<std::byte> after(rows_at_once * post_row_bytes);
    RowComparison result;
    for (std::size_t i = 0; i < change.splices.size(); ++i) {
        const RowSplice& splice = change.splices[i];
        for (std::uint64_t done = 0; done < splice.rows.size(); done += rows_at_once) {
            execution.check();
            const std::uint64_t rows = std::min(rows_at_once, splice.rows.size() - done);
            const auto pre_bytes = std::span(before).first(rows * pre_row_bytes);
            const auto post_bytes = std::span(after).first(rows * post_row_bytes);
            change.pre->read_at((splice.pre_row + done) * pre_row_bytes, pre_bytes);
            read_other(other_offsets[i] + done * post_row_bytes, post_bytes);
            const bool is_same =
                !change.is_converted() && std::ranges::equal(pre_bytes, post_bytes);
            result.differs = result.differs || !is_same;
            values.add({.first = splice.pre_row + done, .bytes = pre_bytes},
                       {.first = splice.rows.begin + done, .bytes = post_bytes},
                       result);
        }
    }
    return result;
}

/// Every row of the tensor is pre's, in pre's order.
bool is_whole_copy(const TensorChange& change) {
    std::uint64_t row = 0;
    for (const RowSplice& splice : change.splices) {
        if (splice.rows.begin != row || splice.pre_row != row) {
            return false;
        }
        row = splice.rows.end;
    }
    return change.is_exact() && row == change.post->rows() &&
           change.pre->bytes == change.post->bytes;
}

/// Reads the written tensor back and compares it with pre's: equal bytes have equal digests, and
/// comparing is quicker.
bool holds_pre(const TensorChange& change, const ChangeTarget& target, const Execution& execution) {
    const std::uint64_t size = change.post->bytes;
    std::vector<std::byte> before(std::min(size, block_bytes));
    std::vector<std::byte> now(before.size());
    for (std::uint64_t at = 0; at < size; at += before.size()) {
        execution.check();
        const std::uint64_t part = std::min<std::uint64_t>(before.size(), size - at);
        const auto left = std::span(before).first(part);
        const auto right = std::span(now).first(part);
        change.pre->read_at(at, left);
        target.file->read_at(target.tensor_offset + at, right);
        if (std::memcmp(left.data(), right.data(), part) != 0) {
            return false;
        }
    }
    return true;
}

std::vector<std::uint64_t> offsets_in_post(const TensorChange& change) {
    std::vector<std::uint64_t> offsets;
    for (const RowSplice& splice : change.splices) {
        offsets.push_back(change.post->offset + splice.rows.begin * change.post->row_bytes());
    }
    return offsets;
}

}  // namespace

std::string make_timestamp() {
    const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&time, &parts);
    return format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                  parts.tm_year + 1900,
                  parts.tm_mon + 1,
                  parts.tm_mday,
                  parts.tm_hour,
                  parts.tm_min,
                  parts.tm_sec);
}

Json describe_source(const RecognisedCheckpoint& source) {
    return Json::Object{{"path", source.checkpoint.path().string()},
                        {"family", source.model.family},
                        {"model_type", source.model.model_type},
                        {"evidence", source.model.evidence}};
}

std::string digest_range(const io::File& file,
                         std::uint64_t offset,
                         std::uint64_t size,
                         const Execution& execution) {
    Sha256 digest;
    std::vector<std::byte> buffer(std::min(size, block_bytes));
    while (size > 0) {
        execution.check();
        const auto part = std::span(buffer).first(std::min<std::uint64_t>(size, buffer.size()));
        file.read_at(offset, part);
        digest.update(part);
        offset += part.size();
        size -= part.size();
    }
    return digest.finish();
}

std::string digest_tensor(const checkpoint::TensorEntry& tensor, const Execution& execution) {
    if (!tensor.computed) {
        return digest_range(*tensor.source, tensor.offset, tensor.bytes, execution);
    }
    Sha256 digest;
    std::vector<std::byte> buffer(std::min(tensor.bytes, block_bytes));
    for (std::uint64_t at = 0; at < tensor.bytes; at += buffer.size()) {
        execution.check();
        const auto part =
            std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), tensor.bytes - at));
        tensor.read_at(at, part);
        digest.update(part);
    }
    return digest.finish();
}

void add_jobs_before(const Plan& plan,
                     std::vector<ChangeMeasure>& measures,
                     const Execution& execution,
                     Jobs& jobs) {
    measures.resize(plan.changes.size());
    // What a merge changes is the whole checkpoint: digests of all of it would cost more than the
    // merge. `verify` computes every row again.
    if (plan.merge != nullptr) {
        return;
    }
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        const TensorChange& change = plan.changes[i];
        ChangeMeasure& measure = measures[i];
        jobs.emplace_back([&change, &measure, &execution] {
            measure.pre_digest = digest_tensor(*change.pre, execution);
        });
        jobs.emplace_back([&change, &measure, &execution] {
            measure.post_digest = digest_tensor(*change.post, execution);
        });
        jobs.emplace_back([&plan, &change, &measure, &execution] {
            const checkpoint::TensorEntry& post = *change.post;
            const auto read_post = [&post](std::uint64_t at, std::span<std::byte> target) {
                post.read_at(at - post.offset, target);
            };
            RowValues scaled(plan.post->checkpoint, post);
            // Without scales on both sides bytes are compared, not values.
            RowValues* values = change.is_exact() || change.is_requantised() ? &scaled : nullptr;
            const auto comparison = compare_rows(change,
                                                 read_post,
                                                 offsets_in_post(change),
                                                 BothValues(plan, change, {.in_post = values}),
                                                 execution);
            measure.before = comparison.drift;
            measure.differs = comparison.differs;
            measure.non_finite_in_pre = comparison.non_finite_in_pre;
        });
    }
}

void add_jobs_after(const Plan& plan,
                    const RowTargets& targets,
                    std::vector<ChangeMeasure>& measures,
                    const Execution& execution,
                    Jobs& jobs) {
    if (plan.merge != nullptr) {
        return;
    }
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        const TensorChange& change = plan.changes[i];
        const ChangeTarget& target = targets[i];
        ChangeMeasure& measure = measures[i];
        jobs.emplace_back([&change, &target, &measure, &execution] {
            const bool is_pre = is_whole_copy(change) && holds_pre(change, target, execution);
            measure.result_digest =
                is_pre ? measure.pre_digest
                       : digest_range(
                             *target.file, target.tensor_offset, change.post->bytes, execution);
        });
    }
    add_drift_jobs_after(plan, targets, measures, execution, jobs);
}

void add_drift_jobs_after(const Plan& plan,
                          const RowTargets& targets,
                          std::vector<ChangeMeasure>& measures,
                          const Execution& execution,
                          Jobs& jobs) {
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        const TensorChange& change = plan.changes[i];
        const ChangeTarget& target = targets[i];
        ChangeMeasure& measure = measures[i];
        // Rows that are pre's own bytes lie at distance zero; the digest shows that they are.
        if (change.is_exact()) {
            measure.after = measure.before.without_difference();
            measure.non_finite_in_result = measure.non_finite_in_pre;
            continue;
        }
        jobs.emplace_back([&plan, &change, &target, &targets, &measure, &execution] {
            std::optional<WrittenScales> scales;
            if (change.is_requantised()) {
                scales.emplace(plan, change, targets);
            }
            const auto read_target = [&target](std::uint64_t at, std::span<std::byte> bytes) {
                target.file->read_at(at, bytes);
            };
            const auto comparison =
                compare_rows(change,
                             read_target,
                             target.offsets,
                             BothValues(plan, change, {.written = scales ? &*scales : nullptr}),
                             execution);
            measure.after = comparison.drift;
            measure.non_finite_in_result = comparison.non_finite_elsewhere;
        });
    }
}

void refuse_equal_rows(const Plan& plan, const std::vector<ChangeMeasure>& measures) {
    if (plan.merge != nullptr) {
        return;
    }
    if (std::ranges::none_of(measures, [](const auto& measure) { return measure.differs; })) {
        throw Error(ErrorKind::mismatch, describe_equal_rows(plan.request));
    }
}

}  // namespace anamnesis::restore
