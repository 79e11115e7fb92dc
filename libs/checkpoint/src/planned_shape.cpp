// SPDX-License-Identifier: Apache-2.0
#include "planned_shape.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::checkpoint {

bool fits_shape(const Shape& planned, const Shape& stored) {
    return std::ranges::equal(planned, stored, [](std::uint64_t expected, std::uint64_t size) {
        return expected == 0 || expected == size;
    });
}

std::string describe_shape(const Shape& planned) {
    std::vector<std::string> sizes;
    for (const std::uint64_t size : planned) {
        sizes.push_back(size == 0 ? std::string("any") : format("{}", size));
    }
    return format("[{}]", join(sizes, ", "));
}

}  // namespace anamnesis::checkpoint
