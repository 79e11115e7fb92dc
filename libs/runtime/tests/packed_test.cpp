// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/torch.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "cpu_packed.hpp"
#include "golden.hpp"
#include "linear.hpp"
#include "packed_rows.hpp"

namespace anamnesis::runtime {
namespace {

namespace fs = std::filesystem;

/// Types whose packed rows are multiplied, where the processor can.
constexpr std::array packed_types{DType::q4_0,
                                  DType::q4_1,
                                  DType::q5_0,
                                  DType::q5_1,
                                  DType::q8_0,
                                  DType::q3_k,
                                  DType::q4_k,
                                  DType::q5_k,
                                  DType::q6_k,
                                  DType::iq4_nl,
                                  DType::iq4_xs};

struct Quantised {
    PackedRows packed;
    at::Tensor values;  ///< what the rows stand for, float32
};

Quantised quantise_rows(DType dtype, const at::Tensor& rows) {
    const auto columns = static_cast<std::size_t>(rows.size(1));
    const std::size_t row_bytes = columns / block_elements(dtype) * block_bytes(dtype);
    Quantised made{
        .packed = {.bytes = at::empty({rows.size(0), std::int64_t(row_bytes)}, at::kByte),
                   .dtype = dtype,
                   .columns = rows.size(1)},
        .values = at::empty(rows.sizes(), at::kFloat)};
    for (std::int64_t r = 0; r < rows.size(0); ++r) {
        const auto at_row = static_cast<std::size_t>(r);
        const std::span blocks(
            static_cast<std::byte*>(made.packed.bytes.data_ptr()) + at_row * row_bytes, row_bytes);
        quantise(
            dtype, std::span(rows.const_data_ptr<float>() + at_row * columns, columns), blocks);
        dequantise(dtype,
                   blocks,
                   std::span(made.values.mutable_data_ptr<float>() + at_row * columns, columns));
    }
    return made;
}

/// Half a unit of 16 bits of the largest input of each run, and what float32 sums add.
at::Tensor bound_error(const at::Tensor& x, const at::Tensor& weight) {
    const auto runs = [](const at::Tensor& rows) {
        return rows.abs()
            .to(at::kDouble)
            .view({rows.size(0), -1, static_cast<std::int64_t>(cpu::rounded_run)});
    };
    return at::mm(std::get<0>(runs(x).max(2)), runs(weight).sum(2).t()) / (2 * 32767.0) +
           1e-6 * at::mm(x.abs().to(at::kDouble), weight.abs().to(at::kDouble).t());
}

class PackedType : public ::testing::TestWithParam<DType> {
protected:
    void SetUp() override {
        if (!cpu::has_packed_product(GetParam())) {
            GTEST_SKIP() << "this processor has no products of packed rows";
        }
    }
};

INSTANTIATE_TEST_SUITE_P(Types,
                         PackedType,
                         ::testing::ValuesIn(packed_types),
                         [](const auto& instance) {
                             return std::string(to_string(instance.param));
                         });

TEST_P(PackedType, MeetsAFewRowsAsItsValuesDo) {
    for (const std::int64_t outputs : {1, 2, 37}) {
        const Quantised weight = quantise_rows(GetParam(), at::randn({outputs, 512}));
        for (const std::int64_t rows : {1, 2, 4, 7, 8, 19, 32}) {
            // Magnitudes as uneven as those of a residual stream.
            const at::Tensor x = at::randn({rows, 512}) * at::randn({512}).exp().pow(2.0);
            const at::Tensor expected =
                at::mm(x.to(at::kDouble), weight.values.to(at::kDouble).t());
            const at::Tensor y = apply(Linear{.packed = weight.packed}, x);
            EXPECT_TRUE(((y - expected).abs() <= bound_error(x, weight.values)).all().item<bool>())
                << rows << " rows";
        }
    }
}

TEST_P(PackedType, GivesARowTheSameBitsInAnyCompany) {
    const Quantised weight = quantise_rows(GetParam(), at::randn({37, 512}));
    const at::Tensor x = at::randn({32, 512});
    const at::Tensor together = apply(Linear{.packed = weight.packed}, x);
    for (std::int64_t row = 0; row < 32; ++row) {
        const at::Tensor alone = apply(Linear{.packed = weight.packed}, x.narrow(0, row, 1));
        EXPECT_TRUE(alone.equal(together.narrow(0, row, 1))) << row;
    }
}

TEST(PackedProduct, OfAMatrixOfSeveralBlocksIsThatOfItsValues) {
    if (!cpu::has_packed_product(DType::q8_0)) {
        GTEST_SKIP() << "this processor has no products of packed rows";
    }
    const at::NoGradGuard no_gradients;
    const Quantised weight = quantise_rows(DType::q8_0, at::randn({16'500, 256}));
    const at::Tensor x = at::randn({40, 256});
    const at::Tensor expected = at::mm(x.to(at::kDouble), weight.values.to(at::kDouble).t());
    EXPECT_TRUE(testing::is_near(apply(Linear{.packed = weight.packed}, x),
                                 expected,
                                 cpu::has_bf16_products() ? 1e-2 : 1e-5));
}

TEST_P(PackedType, MeetsManyRowsAsItsValuesDo) {
    const at::NoGradGuard no_gradients;
    const Quantised weight = quantise_rows(GetParam(), at::randn({70, 256}));
    const at::Tensor x = at::randn({3, 20, 256});
    const at::Tensor expected =
        at::mm(x.view({60, 256}).to(at::kDouble), weight.values.to(at::kDouble).t())
            .view({3, 20, 70});
    const at::Tensor y = apply(Linear{.packed = weight.packed}, x);
    // Processors that multiply bfloat16 round to it.
    EXPECT_TRUE(testing::is_near(y, expected, cpu::has_bf16_products() ? 1e-2 : 1e-5));
}

TEST_P(PackedType, GivesItsValuesRowByRow) {
    const Quantised weight = quantise_rows(GetParam(), at::randn({9, 256}));
    const at::Tensor rows = at::tensor({8, 0, 3, 3}, at::kLong);
    EXPECT_TRUE(unpack_rows(weight.packed, rows).equal(weight.values.index_select(0, rows)));
    at::Tensor narrow = at::empty({4, 256}, at::kBFloat16);
    unpack(weight.packed.narrow(2, 4), narrow);
    EXPECT_TRUE(narrow.equal(weight.values.narrow(0, 2, 4).to(at::kBFloat16)));
}

TEST_P(PackedType, HasTheExtremesOfItsBlocks) {
    // Any bytes are a block, those of a hostile file too: integers must not overflow.
    const std::size_t size = 2 * block_bytes(GetParam()) * 256 / block_elements(GetParam());
    for (const int fill : {0x00, 0x7F, 0x80, 0xFF}) {
        at::Tensor bytes = at::full({1, static_cast<std::int64_t>(size)}, fill, at::kByte);
        const PackedRows packed{.bytes = bytes, .dtype = GetParam(), .columns = 512};
        const at::Tensor x = at::rand({1, 512}) + 1.0;
        const at::Tensor values = unpack_rows(packed, at::tensor({0}, at::kLong));
        const auto expected = at::mm(x.to(at::kDouble), values.to(at::kDouble).t()).item<double>();
        const auto y = apply(Linear{.packed = packed}, x).item<double>();
        if (std::isfinite(expected)) {
            EXPECT_NEAR(y, expected, 1e-4 * (values.abs() * x).sum().item<double>()) << fill;
        } else {
            EXPECT_FALSE(std::isfinite(y)) << fill;
        }
    }
}

TEST(PackedProduct, IsNoNumberWhereAnInputIsNone) {
    if (!cpu::has_packed_product(DType::q8_0)) {
        GTEST_SKIP() << "this processor has no products of packed rows";
    }
    const Quantised weight = quantise_rows(DType::q8_0, at::randn({3, 64}));
    for (const float value :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        at::Tensor x = at::randn({2, 64});
        x.select(0, 1).narrow(0, 40, 1).fill_(value);
        const at::Tensor y = apply(Linear{.packed = weight.packed}, x);
        EXPECT_TRUE(y.select(0, 0).isfinite().all().item<bool>());
        EXPECT_FALSE(y.select(0, 1).isfinite().any().item<bool>());
    }
    const at::Tensor nothing = at::full({1, 64}, 1e-38);
    EXPECT_EQ(apply(Linear{.packed = weight.packed}, nothing).abs().max().item<float>(), 0.0F);
}

TEST(PackedProduct, LetsNoGradientThrough) {
    if (!cpu::has_packed_product(DType::q8_0)) {
        GTEST_SKIP() << "this processor has no products of packed rows";
    }
    const Quantised weight = quantise_rows(DType::q8_0, at::randn({3, 64}));
    for (const std::int64_t rows : {1, 20, 60}) {
        const at::Tensor x = at::randn({rows, 64}).requires_grad_(true);
        EXPECT_THROW(apply(Linear{.packed = weight.packed}, x), Error) << rows;
    }
}

/// The final norm's output after each token, read one by one.
at::Tensor read_token_by_token(const Network& network) {
    NetworkState state = network.make_state();
    NetworkState* const states = &state;
    std::vector<at::Tensor> logits;
    for (std::int64_t token = 1; token < 24; ++token) {
        logits.push_back(network.logits(
            network.advance(at::tensor({token}, at::kLong).view({1, 1}), std::span(&states, 1))));
    }
    return at::cat(logits, 1);
}

TEST(PackedNetwork, GivesTheLogitsOfItsValues) {
    for (const char* name : {"qwen2-fused-q8_0", "qwen3-q5_k_m"}) {
        SCOPED_TRACE(name);
        const auto opened = checkpoint::Checkpoint::open(fs::path(ANAMNESIS_TESTDATA) /
                                                         "gguf/surgery" / name / "pre.gguf");
        const auto model = checkpoint::recognise(opened);
        const Network exact = load_network(opened, model, {.dtype = DType::f32, .threads = 2});
        const Network packed = load_network(
            opened, model, {.cache_dtype = DType::f32, .threads = 2, .keeps_packed = true});
        const std::string query = "model.layers.0.self_attn.q_proj.weight";
        EXPECT_TRUE(exact.parameters().contains(query));
        EXPECT_EQ(packed.parameters().contains(query), !cpu::has_packed_product(DType::q8_0));
        EXPECT_TRUE(
            testing::is_near(read_token_by_token(packed), read_token_by_token(exact), 1e-4));
        const at::NoGradGuard no_gradients;
        const at::Tensor ids = at::arange(1, 24).unsqueeze(0);
        EXPECT_TRUE(testing::is_near(packed.logits(packed.forward(ids)),
                                     exact.logits(exact.forward(ids)),
                                     cpu::has_bf16_products() ? 2e-2 : 1e-4));
    }
}

/// What the commands load. Weights rounded to bfloat16 would be ten times as far away.
TEST(PackedNetwork, IsWhatAModelOfAQuantisedFileRunsOn) {
    if (!cpu::has_packed_product(DType::q8_0)) {
        GTEST_SKIP() << "this processor has no products of packed rows";
    }
    const auto opened = checkpoint::Checkpoint::open(fs::path(ANAMNESIS_TESTDATA) /
                                                     "gguf/surgery/qwen2-fused-q8_0/pre.gguf");
    const auto model = checkpoint::recognise(opened);
    const std::vector<std::int64_t> ids{1, 2, 3, 5, 8, 13};
    const auto find_logits = [&](LoadOptions options) {
        options.tokenizer = fs::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2";
        const auto values =
            HybridModel::load(opened, model, options)->logits({.ids = ids, .chunk = 1});
        return at::tensor(values.front().values);
    };
    const at::Tensor exact = find_logits({.dtype = DType::f32, .cache_dtype = DType::f32});
    EXPECT_TRUE(testing::is_near(find_logits({.cache_dtype = DType::f32}), exact, 2e-4));
    EXPECT_FALSE(testing::is_near(
        find_logits({.dtype = DType::bf16, .cache_dtype = DType::f32}), exact, 2e-4));
}

}  // namespace
}  // namespace anamnesis::runtime
