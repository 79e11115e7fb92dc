// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/method.hpp"

#include <cstddef>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/procrustes.hpp"

namespace anamnesis::restore {

std::vector<linalg::Plane> rotary_planes(const checkpoint::RotaryLayout& rotary,
                                         std::size_t head_dim) {
    using Pairs = checkpoint::RotaryLayout::Pairs;
    if (rotary.pairs == Pairs::none) {
        return {};
    }
    const std::size_t dimensions = rotary.dimensions;
    const std::size_t offset = rotary.offset;
    if (dimensions % 2 != 0 || offset + dimensions > head_dim) {
        throw Error(ErrorKind::unsupported,
                    format("rotary rows do not fit their head: {} from row {}, head of {} rows",
                           dimensions,
                           offset,
                           head_dim));
    }
    std::vector<linalg::Plane> planes;
    planes.reserve(dimensions / 2);
    for (std::size_t j = 0; j < dimensions / 2; ++j) {
        planes.push_back(rotary.pairs == Pairs::half_split
                             ? linalg::Plane{offset + j, offset + j + dimensions / 2}
                             : linalg::Plane{offset + 2 * j, offset + 2 * j + 1});
    }
    return planes;
}

}  // namespace anamnesis::restore
