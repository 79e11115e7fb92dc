// SPDX-License-Identifier: Apache-2.0
#include "tensor_scan.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/doctor.hpp"

namespace anamnesis::restore {
namespace {

/// Read at once: what stays in the cache of a core while it is looked at several times.
constexpr std::uint64_t block_bytes = 256U << 10U;
/// A range of a tensor that one thread looks at; a whole number of blocks.
constexpr std::uint64_t range_bytes = 4U << 20U;
/// One block of so many gives its squares.
constexpr std::uint64_t sampled_blocks = 16;

/// Sums of the bits of one range: integers alone, so that a core keeps up with the disk.
struct RangeScan {
    std::uint64_t largest_bits = 0;  ///< of the values without sign
    std::uint64_t differing_bits = 0;
    std::uint64_t first_bits = 0;
    std::uint64_t digest = 0;
    double squares = 0.0;
    std::uint64_t squared = 0;
    std::uint64_t nans = 0;
    std::uint64_t infinities = 0;
    std::uint64_t first_non_finite = std::numeric_limits<std::uint64_t>::max();
};

/// The bits without sign from which values are infinite or no numbers; 0: the type has none.
std::uint64_t find_non_finite_bits(DType dtype) {
    switch (dtype) {
        case DType::f64:
            return 0x7FF0'0000'0000'0000ULL;
        case DType::f32:
            return 0x7F80'0000U;
        case DType::bf16:
            return 0x7F80U;
        case DType::f16:
            return 0x7C00U;
        case DType::f8_e5m2:
            return 0x7CU;
        case DType::f8_e4m3:
            return 0x7FU;
        default:
            return 0;
    }
}

/// Types of blocks whose values are looked at one by one.
bool has_block_values(DType dtype) {
    return can_dequantise(dtype);
}

/// The most bytes up to `limit` that are whole blocks.
std::uint64_t round_to_blocks(DType dtype, std::uint64_t limit) {
    return limit / anamnesis::block_bytes(dtype) * anamnesis::block_bytes(dtype);
}

bool has_sign_and_values(DType dtype) {
    return is_arithmetic(dtype) || checkpoint::is_scaled(dtype);
}

/// The words of one register of every 64-bit processor; compilers know no maximum of unsigned ones
/// on the oldest of them.
template <class Bits>
struct Register {
    using Word [[gnu::vector_size(16)]] = std::make_signed_t<Bits>;
    static constexpr std::size_t size = 16 / sizeof(Bits);
};

/// Two words of 64 bits in a register.
using Pair [[gnu::vector_size(16)]] = std::uint64_t;

std::uint64_t mix(std::uint64_t digest, std::uint64_t word) {
    constexpr std::uint64_t prime = 0x9E37'79B9'7F4A'7C15ULL;
    digest = (digest ^ word) * prime;
    return digest ^ (digest >> 29U);
}

template <class Bits>
void scan_bits(std::span<const std::byte> bytes, RangeScan& scan) {
    using Signed = std::make_signed_t<Bits>;
    using Word = typename Register<Bits>::Word;
    constexpr std::size_t size = Register<Bits>::size;
    constexpr std::size_t step = 4 * sizeof(Word);
    constexpr auto without_sign = std::numeric_limits<Signed>::max();
    const auto first = static_cast<Signed>(scan.first_bits);
    std::array<Word, 4> largest{};
    std::array<Word, 4> differing{};
    // Sums and sums of sums: they tell tensors of the same bytes in the same order.
    std::array<Pair, 4> sums{};
    std::array<Pair, 4> sums_of_sums{};
    std::size_t at = 0;
    for (; at + step <= bytes.size(); at += step) {
        for (std::size_t k = 0; k < 4; ++k) {
            Word word;
            std::memcpy(&word, bytes.data() + at + k * sizeof(Word), sizeof(Word));
            const Word magnitude = word & without_sign;
            largest[k] = largest[k] < magnitude ? magnitude : largest[k];
            differing[k] |= word ^ first;
            sums[k] += reinterpret_cast<Pair>(word);
            sums_of_sums[k] += sums[k];
        }
    }
    for (std::size_t k = 0; k < 4; ++k) {
        for (std::size_t lane = 0; lane < 2; ++lane) {
            scan.digest = mix(mix(scan.digest, sums[k][lane]), sums_of_sums[k][lane]);
        }
    }
    Signed most = 0;
    Signed other = 0;
    for (std::size_t k = 0; k < 4; ++k) {
        for (std::size_t lane = 0; lane < size; ++lane) {
            most = std::max<Signed>(most, largest[k][lane]);
            other = static_cast<Signed>(other | differing[k][lane]);
        }
    }
    for (; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
        Signed word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof(word));
        most = std::max(most, static_cast<Signed>(word & without_sign));
        other = static_cast<Signed>(other | (word ^ first));
        scan.digest = mix(scan.digest, static_cast<std::uint64_t>(word));
    }
    scan.largest_bits = std::max(scan.largest_bits, static_cast<std::uint64_t>(most));
    scan.differing_bits |= static_cast<std::uint64_t>(static_cast<Bits>(other));
}

template <class Bits>
void count_non_finite(std::span<const std::byte> bytes,
                      std::uint64_t limit,
                      bool limit_is_nan,
                      std::uint64_t first_element,
                      RangeScan& scan) {
    constexpr auto without_sign = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1U);
    for (std::size_t i = 0; i < bytes.size() / sizeof(Bits); ++i) {
        Bits bits = 0;
        std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
        const auto magnitude = static_cast<std::uint64_t>(bits & without_sign);
        if (magnitude >= limit) {
            const bool is_infinite = magnitude == limit && !limit_is_nan;
            (is_infinite ? scan.infinities : scan.nans) += 1;
            scan.first_non_finite = std::min(scan.first_non_finite, first_element + i);
        }
    }
}

/// Looks at one range of a tensor.
class RangeScanner {
public:
    RangeScanner(const checkpoint::TensorEntry& tensor, std::uint64_t begin, std::uint64_t end)
        : tensor_(tensor), begin_(begin), end_(end), width_(element_bytes(tensor.dtype)) {}

    RangeScan run(const Execution& execution) {
        const std::uint64_t step = round_to_blocks(tensor_.dtype, block_bytes);
        std::vector<std::byte> buffer(std::min(step, end_ - begin_));
        read_first();
        for (std::uint64_t at = begin_; at < end_; at += step) {
            execution.check();
            const auto bytes = std::span(buffer).first(std::min<std::uint64_t>(step, end_ - at));
            tensor_.read_at(at, bytes);
            look_at(bytes, at);
        }
        execution.advance(end_ - begin_);
        return scan_;
    }

private:
    /// Every range compares with the first element of the tensor.
    void read_first() {
        const std::uint64_t width = std::min<std::uint64_t>(width_, sizeof(std::uint64_t));
        if (width != 0) {
            std::array<std::byte, sizeof(std::uint64_t)> first{};
            tensor_.read_at(0, std::span(first).first(width));
            std::memcpy(&scan_.first_bits, first.data(), sizeof(std::uint64_t));
        }
    }

    void look_at(std::span<const std::byte> bytes, std::uint64_t at) {
        const std::uint64_t limit = find_non_finite_bits(tensor_.dtype);
        const bool limit_is_nan = tensor_.dtype == DType::f8_e4m3;
        const auto look = [&]<class Bits>(Bits) {
            RangeScan block{.first_bits = scan_.first_bits, .digest = scan_.digest + 1};
            scan_bits<Bits>(bytes, block);
            scan_.differing_bits |= block.differing_bits;
            scan_.digest = block.digest;
            if (limit != 0 && block.largest_bits >= limit) {
                count_non_finite<Bits>(bytes, limit, limit_is_nan, at / width_, scan_);
            } else {
                scan_.largest_bits = std::max(scan_.largest_bits, block.largest_bits);
            }
        };
        switch (width_) {
            case 1:
                look(std::uint8_t{});
                break;
            case 2:
                look(std::uint16_t{});
                break;
            case 4:
                look(std::uint32_t{});
                break;
            case 8:
                look(std::uint64_t{});
                break;
            default:
                look(std::uint8_t{});
                scan_.differing_bits = 1;  // packed values: nothing to say of one alone
        }
        if (has_block_values(tensor_.dtype)) {
            look_at_blocks(bytes, at);
        }
        if (has_sign_and_values(tensor_.dtype) && at / block_bytes % sampled_blocks == 0) {
            add_squares(bytes);
        }
    }

    void look_at_blocks(std::span<const std::byte> bytes, std::uint64_t at) {
        floats_.resize(count_elements(tensor_.dtype, bytes.size()));
        dequantise(tensor_.dtype, bytes, floats_);
        const std::uint64_t first = count_elements(tensor_.dtype, at);
        for (std::size_t i = 0; i < floats_.size(); ++i) {
            const auto bits = std::bit_cast<std::uint32_t>(floats_[i]) & 0x7FFF'FFFFU;
            if (bits < 0x7F80'0000U) {
                largest_value_ = std::max(largest_value_, bits);
                scan_.squares += static_cast<double>(floats_[i]) * floats_[i];
                ++scan_.squared;
            } else {
                (bits == 0x7F80'0000U ? scan_.infinities : scan_.nans) += 1;
                scan_.first_non_finite = std::min(scan_.first_non_finite, first + i);
            }
        }
        scan_.largest_bits = largest_value_;
        // A tensor of one value is one of zeros: every block has a scale of its own.
        scan_.differing_bits = largest_value_;
    }

    void add_squares(std::span<const std::byte> bytes) {
        constexpr std::size_t most = 16'384;
        values_.resize(std::min(most, bytes.size() / width_));
        widen(tensor_.dtype, bytes.first(values_.size() * width_), values_);
        for (const double value : values_) {
            if (std::isfinite(value)) {
                scan_.squares += value * value;
                ++scan_.squared;
            }
        }
    }

    const checkpoint::TensorEntry& tensor_;
    std::uint64_t begin_;
    std::uint64_t end_;
    std::uint64_t width_;
    std::vector<double> values_;
    std::vector<float> floats_;
    std::uint32_t largest_value_ = 0;  ///< the bits of the largest magnitude in blocks
    RangeScan scan_;
};

double value_of_bits(DType dtype, std::uint64_t bits) {
    if (has_block_values(dtype)) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    }
    if (!has_sign_and_values(dtype)) {
        return 0.0;
    }
    std::array<std::byte, sizeof(std::uint64_t)> bytes{};
    std::memcpy(bytes.data(), &bits, sizeof(bits));
    double value = 0.0;
    widen(dtype, std::span(bytes).first(element_bytes(dtype)), {&value, 1});
    return value;
}

struct Range {
    std::size_t tensor = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

}  // namespace

std::vector<TensorHealth> scan_tensors(const checkpoint::Checkpoint& checkpoint,
                                       const Execution& execution) {
    const auto& tensors = checkpoint.tensors();
    std::vector<Range> ranges;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::uint64_t step = round_to_blocks(tensors[i].dtype, range_bytes);
        for (std::uint64_t begin = 0; begin < tensors[i].bytes; begin += step) {
            ranges.push_back({i, begin, std::min(begin + step, tensors[i].bytes)});
        }
    }
    std::vector<RangeScan> scans(ranges.size());
    parallel_for(ranges.size(), execution.threads, [&](std::size_t i) {
        scans[i] =
            RangeScanner(tensors[ranges[i].tensor], ranges[i].begin, ranges[i].end).run(execution);
    });
    std::vector<TensorHealth> healths(tensors.size());
    std::vector<RangeScan> sums(tensors.size());
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        RangeScan& sum = sums[ranges[i].tensor];
        const RangeScan& scan = scans[i];
        sum.largest_bits = std::max(sum.largest_bits, scan.largest_bits);
        sum.differing_bits |= scan.differing_bits;
        sum.digest = mix(sum.digest, scan.digest);
        sum.squares += scan.squares;
        sum.squared += scan.squared;
        sum.nans += scan.nans;
        sum.infinities += scan.infinities;
        sum.first_non_finite = std::min(sum.first_non_finite, scan.first_non_finite);
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const RangeScan& sum = sums[i];
        const double count = static_cast<double>(std::max<std::uint64_t>(sum.squared, 1));
        healths[i] = {.tensor = &tensors[i],
                      .nans = sum.nans,
                      .infinities = sum.infinities,
                      .first_non_finite = sum.nans + sum.infinities == 0 ? 0 : sum.first_non_finite,
                      .is_constant = tensors[i].bytes > 0 && sum.differing_bits == 0,
                      .largest = value_of_bits(tensors[i].dtype, sum.largest_bits),
                      .rms = std::sqrt(sum.squares / count),
                      .digest = sum.digest};
    }
    return healths;
}

}  // namespace anamnesis::restore
