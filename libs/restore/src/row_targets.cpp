// SPDX-License-Identifier: Apache-2.0
#include "row_targets.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/method.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "quantise.hpp"
#include "row_encoder.hpp"
#include "row_values.hpp"

namespace anamnesis::restore {
namespace {

constexpr std::uint64_t copy_block = 32U << 20U;
constexpr std::uint64_t convert_block = 1U << 20U;

void copy_rows(const TensorChange& change, const ChangeTarget& target, const Execution& execution) {
    const std::uint64_t row_bytes = change.post->row_bytes();
    for (std::size_t i = 0; i < change.splices.size(); ++i) {
        const RowSplice& splice = change.splices[i];
        if (splice.source != RowSource::pre) {
            continue;
        }
        std::uint64_t from = splice.pre_row * row_bytes;
        std::uint64_t to = target.offsets[i];
        std::uint64_t left = splice.rows.size() * row_bytes;
        while (left > 0) {
            execution.check();
            const std::uint64_t part = std::min(left, copy_block);
            change.pre->copy_to(*target.file, to, from, part);
            from += part;
            to += part;
            left -= part;
            execution.advance(part);
        }
    }
}

/// Streams pre's rows (and post's, for a blend) through memory into the target's dtype.
void transform_rows(const Plan& plan,
                    const TensorChange& change,
                    const ChangeTarget& target,
                    const Execution& execution) {
    const std::uint64_t pre_row_bytes = change.pre->row_bytes();
    const std::uint64_t post_row_bytes = change.post->row_bytes();
    const std::uint64_t columns = change.post->columns();
    const std::uint64_t rows_at_once =
        std::max<std::uint64_t>(1, convert_block / std::max(pre_row_bytes, post_row_bytes));
    const double alpha = plan.request.alpha;
    std::vector<std::byte> before(rows_at_once * pre_row_bytes);
    std::vector<std::byte> after(rows_at_once * post_row_bytes);
    std::vector<double> pre_values;
    std::vector<double> post_values;
    const RowEncoder encoder(plan, *change.post);
    for (std::size_t i = 0; i < change.splices.size(); ++i) {
        const RowSplice& splice = change.splices[i];
        if (splice.source == RowSource::computed) {
            continue;
        }
        const bool is_blend = splice.source == RowSource::blend;
        for (std::uint64_t done = 0; done < splice.rows.size();) {
            execution.check();
            const std::uint64_t rows = std::min(rows_at_once, splice.rows.size() - done);
            const auto source = std::span(before).first(rows * pre_row_bytes);
            const auto result = std::span(after).first(rows * post_row_bytes);
            change.pre->read_at((splice.pre_row + done) * pre_row_bytes, source);
            // alpha 1 is pre itself, bit for bit; anything else is arithmetic.
            if (is_blend && alpha != 1.0) {
                change.post->read_at((splice.rows.begin + done) * post_row_bytes, result);
                if (alpha != 0.0) {
                    pre_values.resize(rows * columns);
                    post_values.resize(rows * columns);
                    widen(change.pre->dtype, source, pre_values);
                    widen(change.post->dtype, result, post_values);
                    const linalg::MatrixView<double> blended(post_values.data(), rows, columns);
                    interpolate(alpha,
                                linalg::MatrixView<const double>(pre_values.data(), rows, columns),
                                blended,
                                blended);
                    encoder.encode(splice.rows.begin + done, post_values, result);
                }
            } else if (is_block_quantised(change.post->dtype) && change.is_converted()) {
                pre_values.resize(rows * columns);
                widen(change.pre->dtype, source, pre_values);
                encoder.encode(splice.rows.begin + done, pre_values, result);
            } else {
                convert(change.pre->dtype, source, change.post->dtype, result);
            }
            target.file->write_at(target.offsets[i] + done * post_row_bytes, result);
            done += rows;
            execution.advance(result.size());
        }
    }
}

/// Writes pre's 8-bit floats times their scales, rounded once to post's type.
void dequantise_rows(const Plan& plan,
                     const TensorChange& change,
                     const ChangeTarget& target,
                     const Execution& execution) {
    const std::uint64_t columns = change.post->columns();
    const std::uint64_t row_bytes = change.post->row_bytes();
    const std::uint64_t rows_at_once = std::max<std::uint64_t>(1, convert_block / row_bytes);
    RowValues scaled(plan.pre->checkpoint, *change.pre);
    std::vector<double> values;
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < change.splices.size(); ++i) {
        const RowSplice& splice = change.splices[i];
        for (std::uint64_t done = 0; done < splice.rows.size();) {
            execution.check();
            const std::uint64_t rows = std::min(rows_at_once, splice.rows.size() - done);
            values.resize(rows * columns);
            bytes.resize(rows * row_bytes);
            scaled.read((splice.pre_row + done) * columns, values);
            narrow(change.post->dtype, values, bytes);
            target.file->write_at(target.offsets[i] + done * row_bytes, bytes);
            done += rows;
            execution.advance(bytes.size());
        }
    }
}

}  // namespace

RowTargets targets_in_checkpoint(const Plan& plan,
                                 const std::vector<const io::File*>& files,
                                 const std::vector<RenamedFile>& renamed) {
    RowTargets targets;
    for (const TensorChange& change : plan.changes) {
        const std::uint32_t file = change.post->file;
        // Wraps around as it should for a tensor that lies further ahead.
        const std::uint64_t begin =
            change.post->offset +
            (renamed.empty() ? 0U : static_cast<std::uint64_t>(renamed[file].shift));
        ChangeTarget target{.file = files.at(file), .offsets = {}, .tensor_offset = begin};
        for (const RowSplice& splice : change.splices) {
            target.offsets.push_back(begin + splice.rows.begin * change.post->row_bytes());
        }
        targets.push_back(std::move(target));
    }
    return targets;
}

std::uint64_t offset_of_row(const TensorChange& change,
                            const ChangeTarget& target,
                            std::uint64_t row) {
    for (std::size_t i = 0; i < change.splices.size(); ++i) {
        const auto& rows = change.splices[i].rows;
        if (rows.begin <= row && row < rows.end) {
            return target.offsets[i] + (row - rows.begin) * change.post->row_bytes();
        }
    }
    ANAMNESIS_CHECK(false, "a computed row belongs to no change of the plan");
    return 0;
}

std::size_t find_scale_change(const Plan& plan, const TensorChange& change) {
    const auto found = std::ranges::find(
        plan.changes, change.post_scale->tensor, [](const auto& other) { return other.post; });
    ANAMNESIS_CHECK(found != plan.changes.end(), "a requantised weight has its scale in the plan");
    return static_cast<std::size_t>(found - plan.changes.begin());
}

void add_row_jobs(const Plan& plan,
                  std::span<const RowTargets> outputs,
                  const Execution& execution,
                  Jobs& jobs) {
    for (const RowTargets& output : outputs) {
        for (std::size_t i = 0; i < plan.changes.size(); ++i) {
            const TensorChange& change = plan.changes[i];
            const ChangeTarget& target = output[i];
            const bool is_blend = std::ranges::any_of(change.splices, [](const RowSplice& splice) {
                return splice.source == RowSource::blend;
            });
            if (change.is_requantised()) {
                const std::size_t scale = find_scale_change(plan, change);
                jobs.emplace_back([&plan, &change, &target, &output, scale, &execution] {
                    quantise_rows(*plan.pre,
                                  {.weight = change,
                                   .weight_target = target,
                                   .scale = plan.changes[scale],
                                   .scale_target = output[scale]},
                                  execution);
                });
            } else if (change.is_converted() && checkpoint::is_scaled(change.pre->dtype)) {
                jobs.emplace_back([&plan, &change, &target, &execution] {
                    dequantise_rows(plan, change, target, execution);
                });
            } else if (!is_blend && !change.is_converted()) {
                jobs.emplace_back(
                    [&change, &target, &execution] { copy_rows(change, target, execution); });
            } else {
                jobs.emplace_back([&plan, &change, &target, &execution] {
                    transform_rows(plan, change, target, execution);
                });
            }
        }
    }
    add_group_jobs(plan, outputs, execution, jobs);
    add_fit_jobs(plan, outputs, execution, jobs);
    add_merge_jobs(plan, outputs, execution, jobs);
}

void run(const Jobs& jobs, const Execution& execution) {
    parallel_for(jobs.size(), execution.threads, [&](std::size_t i) {
        execution.check();
        jobs[i]();
    });
}

}  // namespace anamnesis::restore
