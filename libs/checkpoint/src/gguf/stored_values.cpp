// SPDX-License-Identifier: Apache-2.0
#include "gguf/stored_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
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
#include "anamnesis/checkpoint/plain_tensor.hpp"

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
    std::optional<TensorEntry> partner{};
    std::uint64_t first = 0;
    std::uint64_t rows = 0;
    bool is_transposed = false;

    bool is_as_stored() const { return !partner && !is_transposed; }
};

/// How the rows that are read differ from those that are stored.
struct RowForm {
    std::uint64_t columns = 0;
    std::uint64_t head_rows = 0;  ///< of heads whose halves are interleaved; 0: none
    std::optional<HeadColumns> heads{};
    StoredForm form = StoredForm::as_is;
    DType dtype = DType::f32;  ///< of the values; those of other types are read as float32
};

float transform(StoredForm form, float value) {
    switch (form) {
        case StoredForm::plus_one:
            return value - 1.0F;
        case StoredForm::negative_rate:
            return std::log(-value);
        case StoredForm::as_is:
            break;
    }
    return value;
}

/// Rows of stored matrices one after another, in the type of `RowForm`.
class StoredRows final : public ComputedTensor {
public:
    StoredRows(std::vector<Run> runs, const RowForm& form) : runs_(std::move(runs)), form_(form) {}

    std::uint64_t row_bytes() const {
        return is_block_quantised(form_.dtype) ? runs_.front().tensor.row_bytes()
                                               : form_.columns * element_bytes(form_.dtype);
    }

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        const std::uint64_t size = row_bytes();
        ANAMNESIS_CHECK(begin % size == 0 && target.size() % size == 0, "whole rows are read");
        for (std::uint64_t row = begin / size; !target.empty();) {
            std::uint64_t within = find_interleaved_row(row, form_.head_rows);
            const Run& run = find_run(within);
            const std::uint64_t most = form_.head_rows == 0 ? run.rows - within : 1;
            const std::uint64_t count = std::min<std::uint64_t>(most, target.size() / size);
            read_rows(run, within, target.first(count * size));
            target = target.subspan(count * size);
            row += count;
        }
    }

private:
    /// `row` becomes the row within the run.
    const Run& find_run(std::uint64_t& row) const {
        const auto run = std::ranges::find_if(runs_, [&](const Run& one) {
            if (row < one.rows) {
                return true;
            }
            row -= one.rows;
            return false;
        });
        ANAMNESIS_CHECK(run != runs_.end(), "the rows that are read are there");
        return *run;
    }

    void read_rows(const Run& run, std::uint64_t row, std::span<std::byte> target) const {
        if (run.is_transposed) {
            const std::uint64_t parts = run.partner ? 2 : 1;
            copy_columns(run.tensor, run.first, row, target, 0, parts);
            if (run.partner) {
                copy_columns(*run.partner, run.first, row, target, 1, parts);
            }
        } else if (run.partner) {
            copy_in_turn(run.tensor, run.first + row, target, 0);
            copy_in_turn(*run.partner, run.first + row, target, 1);
        } else {
            read_stored(run.tensor, run.first + row, target);
        }
        if (form_.heads) {
            reorder_columns(target);
        }
        if (form_.form != StoredForm::as_is) {
            for (std::size_t i = 0; i < target.size(); i += sizeof(float)) {
                float value = 0.0F;
                std::memcpy(&value, target.data() + i, sizeof value);
                value = transform(form_.form, value);
                std::memcpy(target.data() + i, &value, sizeof value);
            }
        }
    }

    /// Rows as they are stored, in the type that is read.
    void read_stored(const TensorEntry& tensor,
                     std::uint64_t row,
                     std::span<std::byte> target) const {
        const std::uint64_t stored_bytes = tensor.row_bytes();
        if (tensor.dtype == form_.dtype) {
            tensor.read_at(row * stored_bytes, target);
            return;
        }
        const std::uint64_t columns = tensor.columns();
        const std::uint64_t count = target.size() / (columns * sizeof(float));
        std::vector<std::byte> bytes(count * stored_bytes);
        tensor.read_at(row * stored_bytes, bytes);
        std::vector<float> values(count * columns);
        if (is_arithmetic(tensor.dtype)) {
            convert(tensor.dtype, bytes, DType::f32, std::as_writable_bytes(std::span(values)));
        } else {
            dequantise(tensor.dtype, bytes, values);
        }
        std::memcpy(target.data(), values.data(), target.size());
    }

    /// Columns of a stored matrix as every `parts`th value of rows, from the value `part` on.
    void copy_columns(const TensorEntry& tensor,
                      std::uint64_t first,
                      std::uint64_t column,
                      std::span<std::byte> target,
                      std::uint64_t part,
                      std::uint64_t parts) const {
        const std::uint64_t size = element_bytes(form_.dtype);
        const std::uint64_t height = form_.columns / parts;
        const std::uint64_t width = tensor.columns();
        std::vector<std::byte> matrix(height * width * size);
        read_stored(tensor, first, matrix);
        const std::uint64_t rows = target.size() / row_bytes();
        for (std::uint64_t i = 0; i < rows; ++i) {
            for (std::uint64_t k = 0; k < height; ++k) {
                std::memcpy(target.data() + (i * form_.columns + k * parts + part) * size,
                            matrix.data() + (k * width + column + i) * size,
                            size);
            }
        }
    }

    /// Rows of half the width as every second value.
    void copy_in_turn(const TensorEntry& tensor,
                      std::uint64_t row,
                      std::span<std::byte> target,
                      std::uint64_t part) const {
        const std::uint64_t size = element_bytes(form_.dtype);
        std::vector<std::byte> half(target.size() / 2);
        read_stored(tensor, row, half);
        for (std::uint64_t i = 0; i < half.size() / size; ++i) {
            std::memcpy(target.data() + (2 * i + part) * size, half.data() + i * size, size);
        }
    }

    void reorder_columns(std::span<std::byte> rows) const {
        const std::uint64_t size = element_bytes(form_.dtype);
        std::vector<std::byte> stored(row_bytes());
        for (; !rows.empty(); rows = rows.subspan(stored.size())) {
            std::memcpy(stored.data(), rows.data(), stored.size());
            for (std::uint64_t column = 0; column < form_.columns; ++column) {
                std::memcpy(rows.data() + column * size,
                            stored.data() + form_.heads->find(column) * size,
                            size);
            }
        }
    }

    std::vector<Run> runs_;
    RowForm form_;
};

[[noreturn]] void refuse_shape(const TensorEntry& stored, const Shape& shape) {
    throw Error(ErrorKind::mismatch,
                format("tensor {} has shape {}, from which {} cannot be made",
                       in_quotes(stored.name),
                       anamnesis::to_string(stored.shape),
                       anamnesis::to_string(shape)));
}

/// A tensor as rows of `columns`. The columns of a matrix are those that it is stored with.
TensorEntry see_as_rows(const TensorEntry& stored,
                        std::uint64_t columns,
                        bool is_matrix,
                        const Shape& shape) {
    const std::uint64_t count = find_element_count(stored.shape).value_or(0);
    const bool has_columns = stored.shape.size() == 1 || stored.shape.back() == columns;
    if (columns == 0 || count % columns != 0 || (is_matrix && !has_columns)) {
        refuse_shape(stored, shape);
    }
    TensorEntry rows = stored;
    rows.shape = {count / columns, columns};
    return rows;
}

/// A part as rows of `columns` values.
Run make_run(const StoredPart& part, std::uint64_t columns, bool is_matrix, const Shape& shape) {
    const std::uint64_t own = columns / (part.partner != nullptr ? 2 : 1);
    const std::uint64_t width =
        part.is_transposed && !part.tensor->shape.empty() ? part.tensor->shape.back() : own;
    Run run{.tensor = see_as_rows(*part.tensor, width, is_matrix, shape),
            .first = part.first,
            .rows = part.rows,
            .is_transposed = part.is_transposed};
    if (part.partner != nullptr) {
        run.partner = see_as_rows(*part.partner, width, is_matrix, shape);
    }
    const std::uint64_t stored = run.tensor.shape.front();
    if (run.rows == 0) {
        run.rows = stored;
    }
    const bool fits = run.is_transposed ? run.first + own <= stored && run.rows == width
                                        : run.first + run.rows <= stored;
    if (!fits || (run.partner && (run.partner->shape != run.tensor.shape ||
                                  run.partner->dtype != run.tensor.dtype))) {
        refuse_shape(*part.tensor, shape);
    }
    return run;
}

/// All runs, which make the planned shape.
std::vector<Run> make_runs(const StoredTensor& stored,
                           std::uint64_t columns,
                           bool is_matrix,
                           const Shape& shape) {
    std::vector<Run> runs;
    std::uint64_t rows = 0;
    for (const StoredPart& part : stored.parts) {
        runs.push_back(make_run(part, columns, is_matrix, shape));
        rows += runs.back().rows;
    }
    const bool fits = rows * columns == find_element_count(shape) &&
                      (!stored.columns || stored.columns->count() == columns);
    if (!fits) {
        refuse_shape(*stored.parts.front().tensor, shape);
    }
    return runs;
}

void refuse_codebooks(const StoredTensor& stored) {
    for (const StoredPart& part : stored.parts) {
        if (part.tensor->dtype == DType::nvfp4) {
            throw Error(ErrorKind::unsupported,
                        format("tensor {} is NVFP4, whose scale of the whole tensor lies outside "
                               "its blocks: such a file does not run here",
                               in_quotes(part.tensor->name)));
        }
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
                                               RowForm form) {
    const TensorEntry& first = runs.front().tensor;
    const bool is_packed = is_block_quantised(first.dtype) && !form.heads &&
                           std::ranges::all_of(runs, [&](const Run& run) {
                               return run.is_as_stored() && run.tensor.dtype == first.dtype &&
                                      run.tensor.row_bytes() != 0;
                           });
    if (!is_packed) {
        return nullptr;
    }
    TensorEntry entry = first;
    entry.shape = {rows, first.columns()};
    entry.bytes = rows * first.row_bytes();
    if (runs.size() == 1 && form.head_rows == 0) {
        entry.offset += runs.front().first * first.row_bytes();
    } else {
        form.dtype = first.dtype;
        entry.computed = std::make_shared<StoredRows>(runs, form);
    }
    return std::make_shared<const TensorEntry>(std::move(entry));
}

/// Whether one run is a whole stored tensor and the rows are to be read as they lie there.
bool is_whole(const std::vector<Run>& runs, const RowForm& form) {
    const Run& run = runs.front();
    return runs.size() == 1 && run.is_as_stored() && run.first == 0 &&
           run.rows == run.tensor.rows() && form.head_rows == 0 && !form.heads &&
           form.form == StoredForm::as_is;
}

}  // namespace

TensorEntry make_matrix(const StoredTensor& stored,
                        std::string name,
                        const Shape& shape,
                        std::uint64_t head_rows) {
    refuse_codebooks(stored);
    std::vector<Run> runs = make_runs(stored, shape.back(), /*is_matrix=*/true, shape);
    const TensorEntry& first = runs.front().tensor;
    const bool is_plain = std::ranges::all_of(runs, [&](const Run& run) {
        return is_arithmetic(run.tensor.dtype) && run.tensor.dtype == first.dtype;
    });
    const RowForm form{.columns = shape.back(),
                       .head_rows = head_rows,
                       .heads = stored.columns,
                       .dtype = is_plain ? first.dtype : DType::f32};
    const bool was_quantised = std::ranges::any_of(runs, [](const Run& run) {
        return run.tensor.was_quantised || !is_arithmetic(run.tensor.dtype);
    });
    TensorEntry entry = *stored.parts.front().tensor;
    entry.name = std::move(name);
    entry.shape = shape;
    if (is_plain && is_whole(runs, form)) {
        return entry;
    }
    const std::uint64_t rows = find_element_count(shape).value_or(0) / shape.back();
    entry.packed = find_packed(runs, rows, form);
    const auto made = std::make_shared<StoredRows>(std::move(runs), form);
    entry.was_quantised = was_quantised;
    entry.dtype = form.dtype;
    entry.bytes = rows * made->row_bytes();
    entry.computed = made;
    return entry;
}

TensorEntry make_plain(const TensorEntry& tensor) {
    return is_arithmetic(tensor.dtype)
               ? tensor
               : make_matrix({.parts = {{.tensor = &tensor}}}, tensor.name, tensor.shape, 0);
}

TensorEntry make_vector(const StoredTensor& stored,
                        std::string name,
                        const Shape& shape,
                        std::uint64_t head_rows) {
    // Values by themselves, or those of a channel or an expert together.
    const std::uint64_t columns = shape.size() > 1 ? shape.back() : 1;
    std::vector<Run> runs = make_runs(stored, columns, /*is_matrix=*/false, shape);
    for (const Run& run : runs) {
        if (!is_arithmetic(run.tensor.dtype)) {
            refuse_shape(run.tensor, shape);
        }
    }
    const RowForm form{.columns = columns, .head_rows = head_rows, .form = stored.form};
    TensorEntry entry = *stored.parts.front().tensor;
    entry.name = std::move(name);
    entry.shape = shape;
    if (is_whole(runs, form)) {
        return entry;
    }
    entry.dtype = DType::f32;
    entry.bytes = find_element_count(shape).value_or(0) * sizeof(float);
    entry.computed = std::make_shared<StoredRows>(std::move(runs), form);
    return entry;
}

}  // namespace anamnesis::checkpoint
