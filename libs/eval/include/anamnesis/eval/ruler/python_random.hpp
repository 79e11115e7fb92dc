// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace anamnesis::eval {

/// CPython's `random.Random`, number for number: RULER's prompts are made of its stream.
///
/// Source: CPython 3.11, Lib/random.py and Modules/_randommodule.c; MT19937 of Matsumoto and
///         Nishimura, seeded by `init_by_array` with the 32-bit words of the seed.
class PythonRandom {
public:
    explicit PythonRandom(std::uint64_t seed);

    std::uint32_t next_u32();

    /// `getrandbits(count)`, 1 <= count <= 64.
    std::uint64_t bits(unsigned count);

    /// Uniform in [0, bound), bound > 0: draws as many bits as `bound` has until they fit.
    std::uint64_t below(std::uint64_t bound);

    /// `randint(low, high)`, both ends included.
    std::uint64_t integer(std::uint64_t low, std::uint64_t high) {
        return low + below(high - low + 1);
    }

    /// `random()`: uniform in [0, 1), 53 bits.
    double uniform();

    /// `sample(range(population), count)`. Errors: `usage` where count > population.
    std::vector<std::size_t> sample(std::size_t population, std::size_t count);

    /// `shuffle`.
    template <class Value>
    void shuffle(std::vector<Value>& values) {
        for (std::size_t i = values.size(); i-- > 1;) {
            std::swap(values[i], values[below(i + 1)]);
        }
    }

    /// `str(uuid.UUID(int=getrandbits(128), version=4))`.
    std::string uuid4();

private:
    void refill();

    static constexpr std::size_t words = 624;
    std::array<std::uint32_t, words> state_{};
    std::size_t next_ = words;
};

}  // namespace anamnesis::eval
