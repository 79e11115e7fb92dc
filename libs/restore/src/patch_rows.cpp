// SPDX-License-Identifier: Apache-2.0
#include "patch_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::restore {

void refuse_undescribed_rows(const checkpoint::Checkpoint& rows, const Json& description) {
    std::set<std::string> described;
    for (const Json& entry : description.at("tensors").as_array("tensors")) {
        const std::string& name = entry.at("name").as_string("name");
        if (!described.insert(name).second) {
            throw Error(ErrorKind::malformed,
                        format("the patch describes tensor {} twice", in_quotes(name)));
        }
    }
    for (const checkpoint::TensorEntry& tensor : rows.tensors()) {
        if (!described.contains(tensor.name)) {
            throw Error(ErrorKind::malformed,
                        format("the patch holds rows of tensor {} and does not describe where they "
                               "go: the file is damaged, get it again",
                               in_quotes(tensor.name)));
        }
    }
}

checkpoint::Checkpoint with_block_types(const checkpoint::Checkpoint& rows,
                                        const Json& description) {
    std::vector<checkpoint::TensorEntry> tensors = rows.tensors();
    for (const Json& entry : description.at("tensors").as_array("tensors")) {
        const Json* word = entry.find("dtype");
        if (word == nullptr) {
            continue;
        }
        const std::string& name = entry.at("name").as_string("name");
        const auto dtype = find_dtype(word->as_string("dtype"));
        const auto tensor = std::ranges::find(tensors, name, &checkpoint::TensorEntry::name);
        if (tensor == tensors.end()) {
            continue;  // told where the patch is applied
        }
        Shape shape;
        for (const Json& size : entry.at("shape").as_array("shape")) {
            shape.push_back(size.as_unsigned("shape"));
        }
        if (!dtype || !is_block_quantised(*dtype) || shape.size() < 2 || tensor->shape.empty() ||
            tensor->dtype != DType::u8) {
            throw Error(ErrorKind::malformed,
                        format("the patch describes tensor {} as {}, which it does not hold",
                               in_quotes(name),
                               in_quotes(word->as_string("dtype"))));
        }
        shape.front() = tensor->shape.front();
        if (find_byte_count(*dtype, shape) != tensor->bytes) {
            throw Error(ErrorKind::malformed,
                        format("the patch holds {} bytes for tensor {}, which do not fit {} rows "
                               "of {}",
                               tensor->bytes,
                               in_quotes(name),
                               shape.front(),
                               to_string(*dtype)));
        }
        tensor->dtype = *dtype;
        tensor->shape = std::move(shape);
    }
    return rows.with_tensors(std::move(tensors), nullptr);
}

}  // namespace anamnesis::restore
