// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/merged_view.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/repair.hpp"
#include "anamnesis/restore/request.hpp"

#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;
using checkpoint::TensorEntry;
using ::testing::HasSubstr;

const fs::path own_cases = fs::path(ANAMNESIS_TESTDATA) / "lora";
const fs::path shared_cases = fs::path(ANAMNESIS_SHARED) / "data/golden/surgery/lora";

std::vector<std::byte> read_all(const TensorEntry& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    return bytes;
}

checkpoint::RecognisedCheckpoint view(const fs::path& base, const fs::path& adapter) {
    return view_with_adapter(checkpoint::open_adapter(adapter), checkpoint::open_recognised(base));
}

/// A merge that repairs nothing, on disk.
void merge(const fs::path& base, const fs::path& adapter, const fs::path& target) {
    const checkpoint::AdapterPair pair(checkpoint::open_adapter(adapter),
                                       checkpoint::open_recognised(base),
                                       checkpoint::PrefixRule::loaders);
    Request request;
    request.selection.method = Method::lerp;
    request.alpha = 0.0;
    static_cast<void>(repair(
        make_merge_plan(pair.match, request, MergeRounding::once), {.path = target}, Execution{}));
}

void expect_merged(const fs::path& base, const fs::path& adapter) {
    SCOPED_TRACE(adapter);
    const testing::TemporaryFolder folder;
    merge(base, adapter, folder.path() / "merged");
    const auto merged = checkpoint::Checkpoint::open(folder.path() / "merged");
    const checkpoint::RecognisedCheckpoint seen = view(base, adapter);
    const checkpoint::RecognisedCheckpoint plain = checkpoint::open_recognised(base);
    ASSERT_EQ(seen.checkpoint.tensors().size(), merged.tensors().size());
    int changed = 0;
    for (const TensorEntry& tensor : merged.tensors()) {
        EXPECT_EQ(read_all(seen.checkpoint.at(tensor.name)), read_all(tensor)) << tensor.name;
        changed += read_all(plain.checkpoint.at(tensor.name)) != read_all(tensor) ? 1 : 0;
    }
    EXPECT_GT(changed, 0);
}

TEST(ViewWithAdapter, HoldsTheBytesThatAMergeWrites) {
    for (const char* name : {"rslora", "dora", "nemotron_h", "phi3_qkv", "only_qk"}) {
        expect_merged(own_cases / name / "base", own_cases / name / "adapter");
    }
}

TEST(ViewWithAdapter, HoldsTheBytesThatAMergeWritesOfTheSharedCases) {
    if (!fs::exists(shared_cases)) {
        GTEST_SKIP() << shared_cases << " is absent; the cases of testdata/lora are tested";
    }
    for (const char* name : {"lora_bias", "modules_to_save", "patterns", "gemma3_sliding"}) {
        const fs::path own = shared_cases / name / "base";
        expect_merged(fs::exists(own) ? own : shared_cases / "base",
                      shared_cases / name / "adapter");
    }
}

TEST(ViewWithAdapter, IsReadFromAnyByte) {
    const auto seen = view(own_cases / "rslora/base", own_cases / "rslora/adapter");
    const TensorEntry& tensor = seen.checkpoint.at("model.layers.0.self_attn.q_proj.weight");
    const std::vector<std::byte> whole = read_all(tensor);
    const std::uint64_t row = tensor.row_bytes();
    for (const auto& [begin, size] : {std::pair{row - 2, row + 4},
                                      std::pair{std::uint64_t{2}, std::uint64_t{2}},
                                      std::pair{tensor.bytes - 2, std::uint64_t{2}}}) {
        std::vector<std::byte> part(size);
        tensor.read_at(begin, part);
        EXPECT_TRUE(std::ranges::equal(part, std::span(whole).subspan(begin, size))) << begin;
    }
}

std::string find_refusal(const fs::path& base, const fs::path& adapter) {
    try {
        static_cast<void>(view(base, adapter));
    } catch (const Error& error) {
        return error.message();
    }
    return "nothing is refused";
}

/// The adapter with what PEFT saves of the base beside factors of an embedding: a copy of the
/// weight. `change` turns one byte of it.
fs::path write_with_copy(const testing::TemporaryFolder& folder, bool change) {
    const auto adapter =
        checkpoint::Checkpoint::open(own_cases / "only_qk/adapter" / "adapter_model.safetensors");
    const auto base = checkpoint::Checkpoint::open(own_cases / "only_qk/base");
    const std::string copied = "model.layers.0.self_attn.q_proj";
    std::vector<testing::NamedBytes> tensors;
    const auto add = [&](const std::string& name, const TensorEntry& tensor) {
        const std::vector<std::byte> bytes = read_all(tensor);
        std::string text(bytes.size(), '\0');
        std::memcpy(text.data(), bytes.data(), bytes.size());
        tensors.push_back({.name = name,
                           .dtype = std::string(to_string(tensor.dtype)),
                           .shape = {tensor.shape.begin(), tensor.shape.end()},
                           .bytes = std::move(text)});
    };
    for (const TensorEntry& tensor : adapter.tensors()) {
        add(tensor.name, tensor);
    }
    add("base_model.model." + copied + ".base_layer.weight", base.at(copied + ".weight"));
    tensors.back().bytes.front() ^= change ? '\1' : '\0';
    folder.write("adapter_model.safetensors", testing::make_safetensors(tensors));
    fs::copy(own_cases / "only_qk/adapter/adapter_config.json",
             folder.path() / "adapter_config.json");
    return folder.path();
}

TEST(ViewWithAdapter, PassesOverTheAdaptersCopyOfTheBase) {
    const fs::path base = own_cases / "only_qk/base";
    const testing::TemporaryFolder same;
    const checkpoint::RecognisedCheckpoint seen = view(base, write_with_copy(same, false));
    const checkpoint::RecognisedCheckpoint plain = view(base, own_cases / "only_qk/adapter");
    for (const TensorEntry& tensor : plain.checkpoint.tensors()) {
        EXPECT_EQ(read_all(seen.checkpoint.at(tensor.name)), read_all(tensor)) << tensor.name;
    }
    const testing::TemporaryFolder other;
    EXPECT_THAT(find_refusal(base, write_with_copy(other, true)),
                HasSubstr("of this base has other values"));
}

TEST(ViewWithAdapter, RefusesWhatDoesNotFit) {
    EXPECT_THAT(find_refusal(own_cases / "rslora/base", own_cases / "unmatched/adapter"),
                HasSubstr("names a tensor of the base"));
    // A GGUF adapter beside the safetensors of its base.
    EXPECT_THAT(find_refusal(own_cases / "rslora/base", own_cases / "rslora/gguf/adapter.gguf"),
                HasSubstr("give its base as a GGUF file too"));
}

}  // namespace
}  // namespace anamnesis::restore
