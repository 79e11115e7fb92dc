// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <bits/ranges_algo.h>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis::formats {
namespace {

[[noreturn]] void malformed(const std::string& message) {
    throw Error(ErrorKind::malformed, message);
}

/// Reads the header as it streams by: no tree, so a header of 100 MB costs its tensors only.
///
/// Depth 1 holds tensor names and __metadata__, depth 2 their fields, depth 3 the two lists.
class HeaderReader final : public JsonEvents {
public:
    explicit HeaderReader(std::uint64_t data_bytes) : data_bytes_(data_bytes) {}

    SafetensorsHeader take() {
        if (!has_root_) {
            malformed("the header is no JSON object");
        }
        return std::move(header_);
    }

    void null() override {
        // Some writers put null where there is no metadata.
        if (depth_ == 1 && in_metadata_ && skipping_ == 0) {
            return;
        }
        scalar("null");
    }
    void boolean(bool /*value*/) override { scalar("a truth value"); }
    void integer(std::int64_t value) override { scalar(format("{}", value)); }
    void real(double value) override { scalar(format("{}", value)); }

    void unsigned_integer(std::uint64_t value) override {
        if (depth_ == 3 && skipping_ == 0) {
            if (field_ == Field::shape) {
                tensor_.shape.push_back(value);
                return;
            }
            if (field_ == Field::data_offsets) {
                if (offset_count_ == 2) {
                    malformed(format("tensor {}: data_offsets has more than two numbers", name()));
                }
                offsets_.at(offset_count_++) = value;
                return;
            }
        }
        scalar(format("{}", value));
    }

    void string(std::string& value) override {
        if (depth_ == 2 && skipping_ == 0) {
            if (in_metadata_) {
                header_.metadata.emplace_back(std::move(key_), std::move(value));
                return;
            }
            if (field_ == Field::dtype) {
                const auto dtype = find_safetensors_dtype(value);
                if (!dtype) {
                    throw Error(ErrorKind::unsupported,
                                format("tensor {} has dtype {}, which is not in the safetensors "
                                       "format",
                                       name(),
                                       in_quotes(value)));
                }
                tensor_.dtype = *dtype;
                return;
            }
        }
        scalar("a string");
    }

    void begin_object() override {
        if (skipping_ > 0) {
            ++skipping_;
            return;
        }
        switch (depth_) {
            case 0:
                depth_ = 1;
                has_root_ = true;
                return;
            case 1:
                depth_ = 2;
                fields_seen_ = 0;
                keys_seen_.clear();
                offset_count_ = 0;
                tensor_ = {};
                return;
            default:
                skip("an object");
        }
    }

    void begin_array() override {
        if (skipping_ > 0) {
            ++skipping_;
            return;
        }
        if (depth_ == 2 && !in_metadata_ &&
            (field_ == Field::shape || field_ == Field::data_offsets)) {
            depth_ = 3;
            return;
        }
        if (depth_ == 0) {
            malformed("the header is a JSON list, an object was expected");
        }
        skip("a list");
    }

    void key(std::string& text) override {
        if (skipping_ > 0) {
            return;
        }
        if (depth_ == 1) {
            if (!names_seen_.insert(text).second) {
                malformed(format("duplicate key {} in the header", in_quotes(text)));
            }
            in_metadata_ = text == "__metadata__";
            name_ = std::move(text);
            return;
        }
        if (in_metadata_) {
            if (!keys_seen_.insert(text).second) {
                malformed(format("duplicate __metadata__ key {}", in_quotes(text)));
            }
            key_ = std::move(text);
            return;
        }
        field_ = text == "dtype"          ? Field::dtype
                 : text == "shape"        ? Field::shape
                 : text == "data_offsets" ? Field::data_offsets
                                          : Field::unknown;
        if (field_ == Field::unknown) {
            if (!keys_seen_.insert(text).second) {
                malformed(format("tensor {}: duplicate key {}", name(), in_quotes(text)));
            }
            return;
        }
        const auto bit = 1U << static_cast<unsigned>(field_);
        if ((fields_seen_ & bit) != 0) {
            malformed(format("tensor {}: duplicate key {}", name(), in_quotes(text)));
        }
        fields_seen_ |= bit;
    }

    void end_object() override {
        if (skipping_ > 0) {
            --skipping_;
            return;
        }
        if (depth_ == 2 && !in_metadata_) {
            finish_tensor();
        }
        --depth_;
    }

    void end_array() override {
        if (skipping_ > 0) {
            --skipping_;
            return;
        }
        --depth_;
    }

private:
    enum class Field : std::uint8_t { dtype, shape, data_offsets, unknown };

    std::string name() const { return in_quotes(name_); }

    /// A value where the format wants another; unknown fields of a tensor may hold anything.
    void scalar(std::string_view found) {
        if (skipping_ > 0 || (depth_ == 2 && !in_metadata_ && field_ == Field::unknown)) {
            return;
        }
        wrong_value(found);
    }

    void skip(std::string_view found) {
        if (depth_ == 2 && !in_metadata_ && field_ == Field::unknown) {
            skipping_ = 1;
            return;
        }
        wrong_value(found);
    }

    [[noreturn]] void wrong_value(std::string_view found) const {
        if (depth_ == 0) {
            malformed(format("the header is {}, a JSON object was expected", found));
        }
        if (depth_ == 1) {
            malformed(format("{} is {}, an object was expected", name(), found));
        }
        if (in_metadata_) {
            malformed(
                format("__metadata__ key {} is {}, a string was expected", in_quotes(key_), found));
        }
        constexpr std::array<std::string_view, 3> names{"dtype", "shape", "data_offsets"};
        constexpr std::array<std::string_view, 3> expected{
            "a string", "a list of non-negative integers", "two non-negative integers"};
        const auto field = static_cast<std::size_t>(field_);
        malformed(format("tensor {}: {} holds {}, {} was expected",
                         name(),
                         names.at(field),
                         found,
                         expected.at(field)));
    }

    void finish_tensor() {
        constexpr unsigned all_fields = 7;
        if (fields_seen_ != all_fields) {
            const std::string_view missing = (fields_seen_ & 1U) == 0   ? "dtype"
                                             : (fields_seen_ & 2U) == 0 ? "shape"
                                                                        : "data_offsets";
            malformed(format("tensor {} has no {}", name(), missing));
        }
        if (offset_count_ != 2) {
            malformed(format(
                "tensor {}: data_offsets has {} numbers, 2 were expected", name(), offset_count_));
        }
        const auto elements = find_element_count(tensor_.shape);
        if (!elements) {
            malformed(format("tensor {}: shape {} has more elements than 64 bits count",
                             name(),
                             to_string(tensor_.shape)));
        }
        const auto bytes = find_byte_count(tensor_.dtype, tensor_.shape);
        if (!bytes) {
            malformed(
                format("tensor {}: {} elements of {} bits do not fill whole bytes, or overflow",
                       name(),
                       *elements,
                       8 * block_bytes(tensor_.dtype) / block_elements(tensor_.dtype)));
        }
        const auto [begin, end] = offsets_;
        if (begin > end || end > data_bytes_) {
            malformed(
                format("tensor {} claims bytes {}..{}, the data section has {}: the file was "
                       "cut off, or its header is wrong",
                       name(),
                       begin,
                       end,
                       data_bytes_));
        }
        if (end - begin != *bytes) {
            malformed(format("tensor {} has {} bytes, {} of shape {} need {}",
                             name(),
                             end - begin,
                             to_string(tensor_.dtype),
                             to_string(tensor_.shape),
                             *bytes));
        }
        tensor_.name = std::move(name_);
        tensor_.data = ByteRange::within(begin, end, data_bytes_);
        header_.tensors.push_back(std::move(tensor_));
    }

    std::uint64_t data_bytes_;
    SafetensorsHeader header_;
    bool has_root_ = false;
    bool in_metadata_ = false;
    int depth_ = 0;
    int skipping_ = 0;
    std::string name_;
    std::string key_;
    Field field_ = Field::unknown;
    unsigned fields_seen_ = 0;
    std::unordered_set<std::string> keys_seen_;
    std::unordered_set<std::string> names_seen_;
    TensorInfo tensor_;
    std::array<std::uint64_t, 2> offsets_{};
    std::size_t offset_count_ = 0;
};

/// Tensors must lie back to back from the first byte of the data section to its last.
void check_layout(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes) {
    std::uint64_t expected = 0;
    for (const TensorInfo& tensor : tensors) {
        if (tensor.data.begin() < expected) {
            malformed(format("tensor {} begins at byte {}, inside the tensor that ends at {}",
                             in_quotes(tensor.name),
                             tensor.data.begin(),
                             expected));
        }
        if (tensor.data.begin() > expected) {
            malformed(format("bytes {}..{} before tensor {} belong to no tensor",
                             expected,
                             tensor.data.begin(),
                             in_quotes(tensor.name)));
        }
        expected = tensor.data.end();
    }
    if (expected != data_bytes) {
        malformed(
            format("{} bytes follow the last tensor, none were expected", data_bytes - expected));
    }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes) {
    // The JSON library would skip a byte order mark.
    if (json.starts_with("\xEF\xBB\xBF")) {
        malformed("the header begins with a byte order mark, '{' was expected");
    }
    HeaderReader reader(data_bytes);
    read_json(json, reader);
    SafetensorsHeader header = reader.take();
    if (!json.starts_with('{')) {
        header.warnings.emplace_back("the header begins with white space, the format wants '{'");
    }
    std::ranges::stable_sort(header.tensors, {}, [](const TensorInfo& tensor) {
        return std::pair(tensor.data.begin(), tensor.data.end());
    });
    check_layout(header.tensors, data_bytes);
    return header;
}

}  // namespace anamnesis::formats
