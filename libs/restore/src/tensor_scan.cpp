// SPDX-License-Identifier: Apache-2.0
#include "tensor_scan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

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
constexpr std::uint64_t range_bytes = 32U << 20U;
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

bool has_sign_and_values(DType dtype) {
    return is_arithmetic(dtype) || checkpoint::is_scaled(dtype);
}

template <class Bits>
void scan_bits(std::span<const std::byte> bytes, RangeScan& scan) {
    constexpr auto without_sign = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1U);
    const std::size_t count = bytes.size() / sizeof(Bits);
    const std::byte* at = bytes.data();
    const auto first = static_cast<Bits>(scan.first_bits);
    // Signed, because old processors have no maximum of unsigned words.
    using Signed = std::make_signed_t<Bits>;
    // As many side by side as a register of the processor holds.
    constexpr std::size_t lanes = 16 / sizeof(Bits);
    std::array<Signed, lanes> largest{};
    std::array<Bits, lanes> differing{};
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        std::array<Bits, lanes> bits;
        std::memcpy(bits.data(), at + i * sizeof(Bits), sizeof(bits));
        for (std::size_t k = 0; k < lanes; ++k) {
            const auto magnitude = static_cast<Signed>(bits[k] & without_sign);
            largest[k] = largest[k] < magnitude ? magnitude : largest[k];
            differing[k] = static_cast<Bits>(differing[k] | (bits[k] ^ first));
        }
    }
    for (; i < count; ++i) {
        Bits bits = 0;
        std::memcpy(&bits, at + i * sizeof(Bits), sizeof(Bits));
        largest[0] = std::max(largest[0], static_cast<Signed>(bits & without_sign));
        differing[0] = static_cast<Bits>(differing[0] | (bits ^ first));
    }
    for (std::size_t k = 0; k < lanes; ++k) {
        scan.largest_bits = std::max(scan.largest_bits, static_cast<std::uint64_t>(largest[k]));
        scan.differing_bits |= differing[k];
    }
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

/// Four sums of 64-bit words side by side; order and length count.
std::uint64_t digest_block(std::span<const std::byte> bytes, std::uint64_t seed) {
    constexpr std::uint64_t prime = 0x9E37'79B9'7F4A'7C15ULL;
    std::array<std::uint64_t, 4> sums{seed, seed ^ 1U, seed ^ 2U, seed ^ 3U};
    std::size_t i = 0;
    for (; i + 32 <= bytes.size(); i += 32) {
        std::array<std::uint64_t, 4> words{};
        std::memcpy(words.data(), bytes.data() + i, 32);
        for (std::size_t k = 0; k < 4; ++k) {
            sums[k] = (sums[k] ^ words[k]) * prime;
        }
    }
    for (; i < bytes.size(); ++i) {
        sums[0] = (sums[0] ^ std::to_integer<std::uint64_t>(bytes[i])) * prime;
    }
    std::uint64_t digest = bytes.size();
    for (const std::uint64_t sum : sums) {
        digest = (digest ^ (sum >> 29U) ^ sum) * prime;
    }
    return digest;
}

/// Looks at one range of a tensor.
class RangeScanner {
public:
    RangeScanner(const checkpoint::TensorEntry& tensor, std::uint64_t begin, std::uint64_t end)
        : tensor_(tensor), begin_(begin), end_(end), width_(element_bytes(tensor.dtype)) {}

    RangeScan run(const Execution& execution) {
        std::vector<std::byte> buffer(std::min(block_bytes, end_ - begin_));
        read_first();
        for (std::uint64_t at = begin_; at < end_; at += block_bytes) {
            execution.check();
            const auto bytes =
                std::span(buffer).first(std::min<std::uint64_t>(block_bytes, end_ - at));
            tensor_.read_at(at, bytes);
            scan_.digest = digest_block(bytes, scan_.digest + 1);
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
            RangeScan block{.first_bits = scan_.first_bits};
            scan_bits<Bits>(bytes, block);
            scan_.differing_bits |= block.differing_bits;
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
                scan_.differing_bits = 1;  // packed values: nothing to say of one alone
        }
        if (has_sign_and_values(tensor_.dtype) && at / block_bytes % sampled_blocks == 0) {
            add_squares(bytes);
        }
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
    RangeScan scan_;
};

double value_of_bits(DType dtype, std::uint64_t bits) {
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
        for (std::uint64_t begin = 0; begin < tensors[i].bytes; begin += range_bytes) {
            ranges.push_back({i, begin, std::min(begin + range_bytes, tensors[i].bytes)});
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
        sum.digest = (sum.digest ^ scan.digest) * 0x9E37'79B9'7F4A'7C15ULL + 1;
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
