// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/memory_tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

using testing::HasSubstr;

std::string surgery(const std::string& family) {
    return std::string(ANAMNESIS_TESTDATA) + "/surgery/" + family + "/pre";
}

/// A checkpoint of files, read into memory.
struct InMemory {
    explicit InMemory(const std::string& path) : files(Checkpoint::open(path)) {
        for (const TensorEntry& tensor : files.tensors()) {
            bytes.emplace_back(tensor.bytes);
            tensor.read_at(0, bytes.back());
        }
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            const TensorEntry& tensor = files.tensors()[i];
            tensors.push_back({.name = tensor.name,
                               .dtype = tensor.dtype,
                               .shape = tensor.shape,
                               .bytes = bytes[i]});
        }
    }

    Checkpoint files;
    std::vector<std::vector<std::byte>> bytes{};
    std::vector<MemoryTensor> tensors{};
};

ErrorKind kind_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.kind();
    }
    return ErrorKind::cancelled;
}

TEST(MemoryTensor, ACheckpointInMemoryIsRecognisedAsItsFilesAre) {
    for (const std::string family : {"llama", "qwen3_next", "deepseek_v3", "phi3"}) {
        const InMemory source(surgery(family));
        const Checkpoint memory =
            make_memory_checkpoint("memory", source.tensors, source.files.config());
        const Model here = recognise(memory);
        const Model there = recognise(source.files);
        EXPECT_EQ(here.family, there.family);
        ASSERT_EQ(here.attention.size(), there.attention.size());
        for (std::size_t i = 0; i < here.attention.size(); ++i) {
            EXPECT_EQ(here.attention[i].name, there.attention[i].name);
            EXPECT_EQ(here.attention[i].blocks.size(), there.attention[i].blocks.size());
        }
    }
}

TEST(MemoryTensor, BytesAreReadWhereTheyLie) {
    InMemory source(surgery("llama"));
    const Checkpoint memory =
        make_memory_checkpoint("memory", source.tensors, source.files.config());
    const std::string name = source.tensors.back().name;
    std::vector<std::byte>& bytes = source.bytes.back();
    bytes[3] = std::byte{0x5a};
    std::vector<std::byte> read(2);
    memory.at(name).read_at(3, read);
    EXPECT_EQ(read[0], std::byte{0x5a});
    EXPECT_EQ(read[1], bytes[4]);
}

TEST(MemoryTensor, BytesThatContradictTheShapeAreRefused) {
    const std::vector<std::byte> bytes(7);
    try {
        make_memory_checkpoint(
            "memory", {{.name = "a", .dtype = DType::f32, .shape = {2}, .bytes = bytes}}, {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
        EXPECT_THAT(error.message(), HasSubstr("'a' of type F32 and shape [2] has 8 bytes, 7"));
    }
    const std::uint64_t much = std::uint64_t{1} << 62U;
    EXPECT_EQ(kind_of([&] {
                  make_memory_checkpoint(
                      "memory", {{.name = "a", .dtype = DType::f32, .shape = {much, much}}}, {});
              }),
              ErrorKind::malformed);
    EXPECT_EQ(
        kind_of([&] { make_memory_checkpoint("memory", {{.name = "a"}, {.name = "a"}}, {}); }),
        ErrorKind::malformed);
    EXPECT_EQ(kind_of([&] { make_memory_checkpoint("memory", {}, Json(Json::Array{})); }),
              ErrorKind::malformed);
}

TEST(MemoryTensor, AShapeAloneIsRecognisedAndNeverRead) {
    const InMemory source(surgery("qwen3_next"));
    const Checkpoint shapes =
        make_shape_checkpoint("shapes", source.tensors, source.files.config());
    EXPECT_EQ(recognise(shapes).attention.size(), recognise(source.files).attention.size());
    std::vector<std::byte> read(1);
    EXPECT_EQ(kind_of([&] { shapes.tensors().front().read_at(0, read); }), ErrorKind::internal);
}

TEST(MemoryTensor, AConfigGivesTheNamesOfItsFamilysFiles) {
    for (const std::string family : {"llama", "qwen3_next", "hypenet", "gpt_neox"}) {
        const Checkpoint files = Checkpoint::open(surgery(family));
        const Checkpoint planned = make_planned_checkpoint(files.config());
        std::set<std::string> there;
        for (const AttentionTensor& tensor : recognise(files).attention) {
            there.insert(tensor.name);
        }
        const Model model = recognise(planned);
        EXPECT_FALSE(model.attention.empty());
        for (const AttentionTensor& tensor : model.attention) {
            EXPECT_TRUE(there.contains(tensor.name)) << family << ": " << tensor.name;
        }
    }
}

}  // namespace
}  // namespace anamnesis::checkpoint
