// SPDX-License-Identifier: Apache-2.0
//
// Scales of 8-bit floats: what is read, what is refused, what is told.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "field_kinds.hpp"
#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "tensor_digests.hpp"
#include "value_checkpoint.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

const std::string w_q = "model.layers.0.self_attn.q_proj.weight";

class Fp8 : public FieldKinds {
protected:
    static Json fp8_config(const std::string& members = "{}") {
        Json config = config_of_values();
        config.set("quantization_config", Json::parse(members));
        return config;
    }
    static void write_pre(const ValueTensors& tensors, const Json& config = config_of_values()) {
        write_values("pre", config, tensors);
    }
    static void write_post(const ValueTensors& tensors, const Json& config = config_of_values()) {
        write_values("post", config, tensors);
    }
    /// The relative distance of the BF16 values of a tensor of `out` from those given.
    static double distance(const ValueTensor& wanted) {
        const std::vector<double> values = read_tensor(wanted.name);
        double difference = 0.0;
        double size = 0.0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            difference += (values[i] - wanted.values[i]) * (values[i] - wanted.values[i]);
            size += wanted.values[i] * wanted.values[i];
        }
        return std::sqrt(difference / size);
    }
    static std::vector<double> read_tensor(const std::string& name) {
        const auto checkpoint = checkpoint::Checkpoint::open("out");
        const auto& tensor = checkpoint.at(name);
        std::vector<std::byte> bytes(tensor.bytes);
        tensor.read_at(0, bytes);
        std::vector<double> values(find_element_count(tensor.shape).value());
        widen(tensor.dtype, bytes, values);
        return values;
    }
    static void overwrite(const std::string& name, const std::string& bytes) {
        const auto checkpoint = checkpoint::Checkpoint::open("out");
        const auto& tensor = checkpoint.at(name);
        ASSERT_EQ(tensor.bytes, bytes.size());
        std::fstream file("out/model.safetensors", std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(tensor.offset));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
    static std::vector<std::string> codes_of_receipt() {
        const Json receipt = Json::parse(read_file("out/anamnesis.json"));
        std::vector<std::string> codes;
        for (const Json& finding : receipt.at("findings").as_array("findings")) {
            codes.push_back(finding.at("code").as_string("code"));
        }
        return codes;
    }
};

constexpr const char* microscaling_config =
    R"({"quant_method": "mxfp8", "weight_block_size": [1, 32], "scale_fmt": "ue8m0"})";

TEST_F(Fp8, ExponentsInU8AreTheScalesOfMicroscaling) {
    const ValueTensors pre = make_llama_values();
    const Fp8Storage storage = microscaling(DType::u8, "_scale_inv");
    for (const char* config : {microscaling_config, R"({"quant_method": "mxfp8"})"}) {
        write_pre(quantise_projections(pre, storage), fp8_config(config));
        write_post(make_llama_values(0.3));
        const CommandResult result = restore();
        ASSERT_EQ(result.exit_code, 0) << result.errors;
        for (const ValueTensor& tensor : pre) {
            if (is_routing_weight(tensor.name)) {
                EXPECT_LT(distance(tensor), 0.05) << tensor.name;
            }
        }
        EXPECT_EQ(verify().exit_code, 0);
    }
    write_pre(pre);
    write_post(quantise_projections(make_llama_values(0.3), storage),
               fp8_config(microscaling_config));
    const CommandResult result = restore();
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const CommandResult verified = verify();
    EXPECT_EQ(verified.exit_code, 0) << verified.errors << verified.output;
}

TEST_F(Fp8, ScalesOfRowsMayHaveMoreDimensionsOfOne) {
    const ValueTensors pre = make_llama_values();
    write_post(make_llama_values(0.3));
    Fp8Storage storage;
    write_pre(quantise_projections(pre, storage), fp8_config());
    ASSERT_EQ(restore().exit_code, 0);
    const auto expected = tensor_digests("out");
    storage.finish = [](ValueTensor& scale) {
        scale.dtype = DType::f32;
        scale.shape.push_back(1);
    };
    write_pre(quantise_projections(pre, storage), fp8_config());
    ASSERT_EQ(restore().exit_code, 0);
    EXPECT_EQ(tensor_digests("out"), expected);
    EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(Fp8, ScalesThatCannotBeReadAreRefusedByName) {
    const ValueTensors bf16 = make_llama_values();
    for (const DType dtype : {DType::i32, DType::f8_e4m3, DType::u8}) {
        Fp8Storage storage;
        storage.make_scale = [](double) { return 1.0; };
        storage.finish = [dtype](ValueTensor& scale) { scale.dtype = dtype; };
        const ValueTensors fp8 = quantise_projections(bf16, storage);
        for (const bool is_pre : {true, false}) {
            write_pre(is_pre ? fp8 : bf16, is_pre ? fp8_config() : config_of_values());
            const ValueTensors post = make_llama_values(0.3);
            write_post(is_pre ? post : quantise_projections(post, storage),
                       is_pre ? config_of_values() : fp8_config());
            const CommandResult result = restore();
            EXPECT_EQ(result.exit_code, 5) << result.output << result.errors;
            EXPECT_THAT(result.errors,
                        AllOf(HasSubstr("scale tensor '" + w_q + "_scale' is " +
                                        std::string(to_string(dtype)) + " with shape [64, 1]"),
                              HasSubstr("scales are read from"),
                              HasSubstr("dequantise")));
            EXPECT_FALSE(fs::exists("out"));
            const CommandResult doctor = command({"doctor", "pre", "post"});
            EXPECT_EQ(doctor.exit_code, 1);
            EXPECT_THAT(doctor.output, HasSubstr("scales are read from"));
        }
    }
}

TEST_F(Fp8, OfTwoScalesNoneIsTaken) {
    ValueTensors fp8 = quantise_projections(make_llama_values(), {});
    ValueTensor second = find_values(fp8, w_q + "_scale");
    second.name = w_q + "_scale_inv";
    fp8.push_back(second);
    write_pre(fp8, fp8_config());
    write_post(make_llama_values(0.3));
    const CommandResult result = restore();
    EXPECT_EQ(result.exit_code, 6) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("has two scales"));
}

TEST_F(Fp8, RequantisedRowsAreMeasuredWithTheirNewScales) {
    write_pre(make_llama_values());
    write_post(quantise_projections(make_llama_values(0.3), {.rows = 16, .columns = 16}),
               fp8_config(R"({"quant_method": "fp8", "weight_block_size": [16, 16]})"));
    ASSERT_EQ(restore({"--strict"}).exit_code, 0);
    const Json receipt = Json::parse(read_file("out/anamnesis.json"));
    const auto& drift = receipt.at("drift").as_array("drift");
    ASSERT_EQ(drift.size(), 6U) << "q and k of three layers";
    for (const Json& row : drift) {
        EXPECT_NEAR(row.at("drift_before").as_double("drift_before"), 0.3, 0.05);
        EXPECT_GT(row.at("drift_after").as_double("drift_after"), 0.0);
        EXPECT_LT(row.at("drift_after").as_double("drift_after"), 0.05);
    }
}

TEST_F(Fp8, NaNAndInfinityOfPreAreToldWhereRowsAreRequantised) {
    write_post(quantise_projections(make_llama_values(0.3), {.rows = 16, .columns = 16}),
               fp8_config(R"({"quant_method": "fp8", "weight_block_size": [16, 16]})"));
    for (const double odd :
         {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
        ValueTensors pre = make_llama_values();
        find_values(pre, w_q).values[0] = odd;
        write_pre(pre);
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        EXPECT_THAT(result.errors, HasSubstr("NaN or infinite"));
        EXPECT_THAT(codes_of_receipt(), Contains("non_finite"));
        // The rest of the block is as near to pre as it can be.
        const CommandResult verified = verify();
        EXPECT_EQ(verified.exit_code, 0) << verified.errors << verified.output;
        EXPECT_LT(read_tensor(w_q + "_scale").front(), 0.01);
        EXPECT_EQ(restore({"--strict"}).exit_code, 6);
    }
}

TEST_F(Fp8, NewScalesAreProvenWithTheirRows) {
    write_pre(make_llama_values());
    write_post(quantise_projections(make_llama_values(0.3), {.rows = 16, .columns = 16}),
               fp8_config(R"({"quant_method": "fp8", "weight_block_size": [16, 16]})"));
    ASSERT_EQ(restore().exit_code, 0);
    fs::remove("out/anamnesis.json");
    const auto prove = [] { return Json::parse(verify({"--method", "qk", "--json"}).output); };
    const Json whole = prove();
    EXPECT_TRUE(whole.at("proven").as_boolean("proven"));
    EXPECT_GT(whole.at("rows_computed").as_unsigned("rows"), 0U) << "rows of scales";
    EXPECT_EQ(whole.at("rows_unchecked").as_unsigned("rows"), 0U);
    // Zeros under a scale so large that all of pre's values would round to them.
    overwrite(w_q, std::string(std::size_t{64} * 64, '\0'));
    overwrite(w_q + "_scale",
              store_values({.name = "",
                            .shape = {4, 4},
                            .values = std::vector<double>(16, 1e30),
                            .dtype = DType::f32}));
    const Json hidden = prove();
    EXPECT_FALSE(hidden.at("proven").as_boolean("proven"));
    EXPECT_THAT(hidden.dump(), HasSubstr("16 of its new scales"));
}

TEST_F(Fp8, ScalesOfASquareMatrixThatMayBeOfRowsOrColumnsAreRefused) {
    Fp8Storage turned;
    turned.finish = [](ValueTensor& scale) {
        scale.dtype = DType::f32;
        if (scale.name.find("q_proj") != std::string::npos) {
            std::ranges::reverse(scale.shape);
        }
    };
    write_pre(quantise_projections(make_llama_values(), turned), fp8_config());
    write_post(make_llama_values(0.3));
    const CommandResult result = restore();
    EXPECT_EQ(result.exit_code, 5) << result.output;
    EXPECT_THAT(result.errors,
                AllOf(HasSubstr("'" + w_q + "_scale' has shape [1, 64]"),
                      HasSubstr("scales of rows are [64, 1]")));
    // Bytes go with their scales, whatever these mean.
    write_post(quantise_projections(make_llama_values(0.3), turned), fp8_config());
    EXPECT_EQ(restore().exit_code, 0);
    EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(Fp8, ScalesOfTensorsThatStayDoNotStopTheRepairOfAGgufFile) {
    const fs::path root = fs::path(ANAMNESIS_TESTDATA) / "lora" / "rslora";
    const auto base = checkpoint::Checkpoint::open(root / "base");
    ValueTensors values;
    for (const auto& tensor : base.tensors()) {
        std::vector<std::byte> bytes(tensor.bytes);
        tensor.read_at(0, bytes);
        values.push_back({.name = tensor.name,
                          .shape = tensor.shape,
                          .values = std::vector<double>(count_elements(tensor.dtype, bytes.size())),
                          .dtype = tensor.dtype});
        widen(tensor.dtype, bytes, values.back().values);
    }
    Fp8Storage unreadable;
    unreadable.finish = [](ValueTensor& scale) { scale.dtype = DType::i32; };
    const auto is_of_attention = [](const ValueTensor& tensor) {
        return tensor.name.find("self_attn") != std::string::npos;
    };
    ValueTensors pre = quantise_projections(values, unreadable);
    std::erase_if(pre, is_of_attention);
    std::ranges::copy_if(values, std::back_inserter(pre), is_of_attention);
    write_pre(pre, base.config());
    const CommandResult result = command(
        {"restore", "--pre", "pre", "--post", (root / "gguf" / "base.gguf").string(), "--dry-run"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("scales are read from")) << "it is told all the same";
}

TEST_F(Fp8, RowsOfAPlainCastAreMeasuredAsTheyAre) {
    // Weights of about 1, as a cast that keeps them needs.
    const auto enlarge = [](ValueTensors tensors, DType dtype) {
        for (ValueTensor& tensor : tensors) {
            const bool is_matrix = tensor.name.ends_with("_proj.weight");
            tensor.dtype = is_matrix ? dtype : tensor.dtype;
            for (double& value : tensor.values) {
                value *= is_matrix ? 20.0 : 1.0;
            }
        }
        return tensors;
    };
    ValueTensors pre = enlarge(make_llama_values(), DType::bf16);
    write_pre(pre);
    write_post(enlarge(make_llama_values(0.3), DType::f8_e4m3), fp8_config());
    ASSERT_EQ(restore().exit_code, 0);
    const Json receipt = Json::parse(read_file("out/anamnesis.json"));
    EXPECT_EQ(receipt.at("drift").as_array("drift").size(), 6U);
    find_values(pre, w_q).values[0] = std::numeric_limits<double>::quiet_NaN();
    write_pre(pre);
    ASSERT_EQ(restore().exit_code, 0);
    EXPECT_THAT(codes_of_receipt(), Contains("non_finite"));
}

TEST_F(Fp8, TheScaleOfAnUntouchedWeightNeedsNoMeaning) {
    const auto spoil = [](ValueTensors tensors) {
        ValueTensor& scale = find_values(tensors, "model.layers.0.self_attn.o_proj.weight_scale");
        scale.shape = {5, 1};
        scale.values.resize(5);
        return tensors;
    };
    write_pre(spoil(quantise_projections(make_llama_values(), {})), fp8_config());
    write_post(spoil(quantise_projections(make_llama_values(0.3), {})), fp8_config());
    ASSERT_EQ(restore().exit_code, 0);
    const CommandResult verified = verify();
    EXPECT_EQ(verified.exit_code, 0) << verified.errors;
    // Blocks of 32 under E8M0 need no word of the config.
    const Fp8Storage storage = microscaling(DType::f8_e8m0, "_scale");
    write_pre(quantise_projections(make_llama_values(), storage), fp8_config());
    write_post(quantise_projections(make_llama_values(0.3), storage), fp8_config());
    ASSERT_EQ(restore({"--strict"}).exit_code, 0);
    EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(Fp8, ScalesThatNoQuantiserWritesAreTold) {
    const Fp8Storage whole{.rows = 0, .columns = 0};
    const ValueTensors sound = quantise_projections(make_llama_values(), whole);
    write_post(quantise_projections(make_llama_values(0.3), whole), fp8_config());
    write_pre(sound, fp8_config());
    ASSERT_EQ(restore({"--strict"}).exit_code, 0);
    struct Case {
        double scale;
        const char* code;
    };
    for (const auto& [scale, code] :
         {Case{0.0, "scale_values"},
          Case{-1e-4, "scale_values"},
          Case{std::numeric_limits<double>::infinity(), "scale_values"},
          Case{std::numeric_limits<double>::quiet_NaN(), "scale_values"},
          Case{1e30, "scale_ratio"},
          Case{1e-30, "scale_ratio"}}) {
        ValueTensors odd = sound;
        find_values(odd, w_q + "_scale").values = {scale};
        write_pre(odd, fp8_config());
        EXPECT_EQ(restore({"--strict"}).exit_code, 6) << scale;
        ASSERT_EQ(restore().exit_code, 0) << scale;
        EXPECT_THAT(codes_of_receipt(), Contains(code)) << scale;
        const CommandResult doctor = command({"doctor", "pre", "post", "--json"});
        EXPECT_THAT(doctor.output, HasSubstr(code)) << scale;
    }
}

}  // namespace
}  // namespace anamnesis::testing
