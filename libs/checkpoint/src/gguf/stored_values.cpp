// SPDX-License-Identifier: Apache-2.0
#include "gguf/stored_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {
namespace {

/// The stored place of a row of heads whose halves are interleaved.
std::uint64_t find_interleaved_row(std::uint64_t row, std::uint64_t head_rows) {
    if (head_rows == 0) {
        return row;
    }
    const std::uint64_t half = head_rows / 2;
    const std::uint64_t within = row % head_rows;
    return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}

/// A part with all its rows counted.
struct Run {
    TensorEntry tensor;  ///< seen as a matrix
    std::uint64_t first = 0;
    std::uint64_t rows = 0;
};

/// Rows of stored matrices one after another: quantised ones as float32, others as they are.
class StoredRows final : public ComputedTensor {
public:
    StoredRows(std::vector<Run> runs, std::uint64_t head_rows, bool is_plain)
        : runs_(std::move(runs)), head_rows_(head_rows), is_plain_(is_plain) {}

    std::uint64_t row_bytes() const {
        const TensorEntry& tensor = runs_.front().tensor;
        return is_plain_ ? tensor.row_bytes() : tensor.columns() * sizeof(float);
    }

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        const std::uint64_t size = row_bytes();
        ANAMNESIS_CHECK(begin % size == 0 && target.size() % size == 0, "whole rows are read");
        for (std::uint64_t done = 0; done < target.size(); done += size) {
            read_row(find_interleaved_row((begin + done) / size, head_rows_),
                     target.subspan(done, size));
        }
    }

private:
    void read_row(std::uint64_t row, std::span<std::byte> target) const {
        const auto run = std::ranges::find_if(runs_, [&](const Run& one) {
            if (row < one.rows) {
                return true;
            }
            row -= one.rows;
            return false;
        });
        ANAMNESIS_CHECK(run != runs_.end(), "the rows that are read are there");
        const std::uint64_t stored_bytes = run->tensor.row_bytes();
        if (is_plain_) {
            run->tensor.read_at((run->first + row) * stored_bytes, target);
            return;
        }
        std::vector<std::byte> blocks(stored_bytes);
        run->tensor.read_at((run->first + row) * stored_bytes, blocks);
        std::vector<float> values(run->tensor.columns());
        to_floats(run->tensor.dtype, blocks, values);
        std::memcpy(target.data(), values.data(), target.size());
    }

    static void to_floats(DType dtype, std::span<const std::byte> bytes, std::span<float> values) {
        if (is_arithmetic(dtype)) {
            convert(dtype, bytes, DType::f32, std::as_writable_bytes(values));
        } else {
            dequantise(dtype, bytes, values);
        }
    }

    std::vector<Run> runs_;
    std::uint64_t head_rows_;
    bool is_plain_;
};

/// Values of a small tensor, in float32.
class StoredVector final : public ComputedTensor {
public:
    /// `count` values from the `first` on.
    StoredVector(TensorEntry stored,
                 std::uint64_t first,
                 std::uint64_t count,
                 StoredForm form,
                 std::uint64_t head_rows)
        : stored_(std::move(stored)),
          first_(first),
          count_(count),
          form_(form),
          head_rows_(head_rows) {}

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        std::vector<std::byte> bytes(stored_.bytes);
        stored_.read_at(0, bytes);
        std::vector<float> values(count_elements(stored_.dtype, bytes.size()));
        convert(stored_.dtype, bytes, DType::f32, std::as_writable_bytes(std::span(values)));
        std::vector<float> made(count_);
        for (std::uint64_t i = 0; i < count_; ++i) {
            made[i] = transform(values[first_ + find_interleaved_row(i, head_rows_)]);
        }
        ANAMNESIS_CHECK(begin + target.size() <= count_ * sizeof(float), "values are there");
        std::memcpy(
            target.data(), reinterpret_cast<const std::byte*>(made.data()) + begin, target.size());
    }

private:
    float transform(float value) const {
        switch (form_) {
            case StoredForm::plus_one:
                return value - 1.0F;
            case StoredForm::negative_rate:
                return std::log(-value);
            case StoredForm::as_is:
                break;
        }
        return value;
    }

    TensorEntry stored_;
    std::uint64_t first_;
    std::uint64_t count_;
    StoredForm form_;
    std::uint64_t head_rows_;
};

[[noreturn]] void refuse_shape(const TensorEntry& stored, const Shape& shape) {
    throw Error(ErrorKind::mismatch,
                format("tensor {} has shape {}, from which {} cannot be made",
                       in_quotes(stored.name),
                       anamnesis::to_string(stored.shape),
                       anamnesis::to_string(shape)));
}

/// A part as rows of `columns`.
Run make_run(const StoredPart& part, std::uint64_t columns, const Shape& shape) {
    Run run{.tensor = *part.tensor, .first = part.first, .rows = part.rows};
    const std::uint64_t count = find_element_count(run.tensor.shape).value_or(0);
    if (columns == 0 || count % columns != 0 ||
        (run.tensor.shape.back() != columns && run.tensor.shape.size() != 1)) {
        refuse_shape(run.tensor, shape);
    }
    run.tensor.shape = {count / columns, columns};
    if (run.rows == 0) {
        run.rows = run.tensor.shape.front();
    }
    if (run.first + run.rows > run.tensor.shape.front()) {
        refuse_shape(*part.tensor, shape);
    }
    return run;
}

void refuse_codebooks(const StoredTensor& stored) {
    for (const StoredPart& part : stored.parts) {
        if (!is_arithmetic(part.tensor->dtype) && !can_dequantise(part.tensor->dtype)) {
            throw Error(ErrorKind::unsupported,
                        format("tensor {} is {}, whose values need a codebook that is not known "
                               "here",
                               in_quotes(part.tensor->name),
                               anamnesis::to_string(part.tensor->dtype)));
        }
    }
}

/// The rows as they are stored, where one block-quantised type has them all: in the file's place,
/// or gathered as they are read.
std::shared_ptr<const TensorEntry> find_packed(const std::vector<Run>& runs,
                                               std::uint64_t rows,
                                               std::uint64_t head_rows) {
    const TensorEntry& first = runs.front().tensor;
    const bool is_packed =
        is_block_quantised(first.dtype) && std::ranges::all_of(runs, [&](const Run& run) {
            return run.tensor.dtype == first.dtype && run.tensor.row_bytes() != 0;
        });
    if (!is_packed) {
        return nullptr;
    }
    TensorEntry entry = first;
    entry.shape = {rows, first.columns()};
    entry.bytes = rows * first.row_bytes();
    if (runs.size() == 1 && head_rows == 0) {
        entry.offset += runs.front().first * first.row_bytes();
    } else {
        entry.computed = std::make_shared<StoredRows>(runs, head_rows, /*is_plain=*/true);
    }
    return std::make_shared<const TensorEntry>(std::move(entry));
}

}  // namespace

TensorEntry make_matrix(const StoredTensor& stored,
                        std::string name,
                        const Shape& shape,
                        std::uint64_t head_rows) {
    refuse_codebooks(stored);
    std::vector<Run> runs;
    std::uint64_t rows = 0;
    for (const StoredPart& part : stored.parts) {
        runs.push_back(make_run(part, shape.back(), shape));
        rows += runs.back().rows;
    }
    if (rows * shape.back() != find_element_count(shape)) {
        refuse_shape(*stored.parts.front().tensor, shape);
    }
    const TensorEntry& first = runs.front().tensor;
    const bool is_plain = std::ranges::all_of(runs, [&](const Run& run) {
        return is_arithmetic(run.tensor.dtype) && run.tensor.dtype == first.dtype;
    });
    const bool was_quantised =
        std::ranges::any_of(runs, [](const Run& run) { return !is_arithmetic(run.tensor.dtype); });
    TensorEntry entry = *stored.parts.front().tensor;
    const bool is_whole = runs.size() == 1 && runs.front().first == 0 &&
                          runs.front().rows == first.rows() && head_rows == 0;
    entry.name = std::move(name);
    entry.shape = shape;
    if (is_whole && is_plain) {
        return entry;
    }
    const DType dtype = first.dtype;
    entry.packed = find_packed(runs, rows, head_rows);
    const auto made = std::make_shared<StoredRows>(std::move(runs), head_rows, is_plain);
    entry.was_quantised = was_quantised;
    entry.dtype = is_plain ? dtype : DType::f32;
    entry.bytes = rows * made->row_bytes();
    entry.computed = made;
    return entry;
}

TensorEntry make_vector(const StoredTensor& stored,
                        std::string name,
                        const Shape& shape,
                        std::uint64_t head_rows) {
    const StoredPart& part = stored.parts.front();
    const TensorEntry& tensor = *part.tensor;
    const std::uint64_t count = find_element_count(shape).value_or(0);
    const std::uint64_t all = find_element_count(tensor.shape).value_or(0);
    const bool is_whole = part.rows == 0;
    if (stored.parts.size() != 1 || !is_arithmetic(tensor.dtype) ||
        (is_whole ? all != count : part.rows != count || part.first + part.rows > all)) {
        refuse_shape(tensor, shape);
    }
    TensorEntry entry = tensor;
    entry.name = std::move(name);
    entry.shape = shape;
    if (stored.form == StoredForm::as_is && head_rows == 0 && is_whole) {
        return entry;
    }
    entry.dtype = DType::f32;
    entry.bytes = count * sizeof(float);
    entry.computed =
        std::make_shared<StoredVector>(tensor, part.first, count, stored.form, head_rows);
    return entry;
}

}  // namespace anamnesis::checkpoint
