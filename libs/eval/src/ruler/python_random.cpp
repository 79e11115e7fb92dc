// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/python_random.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::eval {

PythonRandom::PythonRandom(std::uint64_t seed) {
    state_[0] = 19650218U;
    for (std::uint32_t i = 1; i < words; ++i) {
        state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30U)) + i;
    }
    const std::array<std::uint32_t, 2> key{static_cast<std::uint32_t>(seed),
                                           static_cast<std::uint32_t>(seed >> 32U)};
    const std::uint32_t length = key[1] == 0 ? 1 : 2;
    std::size_t i = 1;
    std::uint32_t j = 0;
    const auto wrap = [&] {
        if (++i >= words) {
            state_[0] = state_[words - 1];
            i = 1;
        }
    };
    for (std::size_t k = words; k > 0; --k) {
        state_[i] =
            (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30U)) * 1664525U)) + key.at(j) + j;
        wrap();
        j = j + 1 >= length ? 0 : j + 1;
    }
    for (std::size_t k = words - 1; k > 0; --k) {
        state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30U)) * 1566083941U)) -
                    static_cast<std::uint32_t>(i);
        wrap();
    }
    state_[0] = 0x80000000U;
}

void PythonRandom::refill() {
    constexpr std::size_t shift = 397;
    for (std::size_t i = 0; i < words; ++i) {
        const std::uint32_t joined =
            (state_[i] & 0x80000000U) | (state_[(i + 1) % words] & 0x7FFFFFFFU);
        state_[i] =
            state_[(i + shift) % words] ^ (joined >> 1U) ^ ((joined & 1U) != 0 ? 0x9908B0DFU : 0U);
    }
    next_ = 0;
}

std::uint32_t PythonRandom::next_u32() {
    if (next_ == words) {
        refill();
    }
    std::uint32_t y = state_[next_++];
    y ^= y >> 11U;
    y ^= (y << 7U) & 0x9D2C5680U;
    y ^= (y << 15U) & 0xEFC60000U;
    return y ^ (y >> 18U);
}

std::uint64_t PythonRandom::bits(unsigned count) {
    if (count <= 32) {
        return next_u32() >> (32U - count);
    }
    const std::uint64_t low = next_u32();
    const std::uint64_t high = next_u32() >> (64U - count);
    return low | (high << 32U);
}

std::uint64_t PythonRandom::below(std::uint64_t bound) {
    const auto count = static_cast<unsigned>(std::bit_width(bound));
    std::uint64_t value = bits(count);
    while (value >= bound) {
        value = bits(count);
    }
    return value;
}

double PythonRandom::uniform() {
    const std::uint64_t high = next_u32() >> 5U;
    const std::uint64_t low = next_u32() >> 6U;
    return static_cast<double>((high << 26U) | low) * 0x1.0p-53;
}

std::vector<std::size_t> PythonRandom::sample(std::size_t population, std::size_t count) {
    if (count > population) {
        throw Error(ErrorKind::usage,
                    format("cannot draw {} of {} without replacement", count, population));
    }
    std::size_t set_size = 21;
    if (count > 5) {
        const double digits = std::ceil(std::log(static_cast<double>(count * 3)) / std::log(4.0));
        set_size += static_cast<std::size_t>(std::pow(4.0, digits));
    }
    std::vector<std::size_t> result;
    result.reserve(count);
    if (population <= set_size) {
        std::vector<std::size_t> pool(population);
        for (std::size_t i = 0; i < population; ++i) {
            pool[i] = i;
        }
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t j = below(population - i);
            result.push_back(pool[j]);
            pool[j] = pool[population - i - 1];
        }
        return result;
    }
    std::unordered_set<std::size_t> taken;
    while (result.size() < count) {
        const std::size_t j = below(population);
        if (taken.insert(j).second) {
            result.push_back(j);
        }
    }
    return result;
}

std::string PythonRandom::uuid4() {
    // The first word drawn is the lowest of the 128 bits.
    std::array<std::uint32_t, 4> word{};
    for (std::uint32_t& value : word) {
        value = next_u32();
    }
    word[1] = (word[1] & 0x3FFFFFFFU) | 0x80000000U;
    word[2] = (word[2] & 0xFFFF0FFFU) | 0x00004000U;
    return format("{:08x}-{:04x}-{:04x}-{:04x}-{:04x}{:08x}",
                  word[3],
                  word[2] >> 16U,
                  word[2] & 0xFFFFU,
                  word[1] >> 16U,
                  word[1] & 0xFFFFU,
                  word[0]);
}

}  // namespace anamnesis::eval
