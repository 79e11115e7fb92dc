// SPDX-License-Identifier: Apache-2.0
// Input: changes to a tiny pair of checkpoints, five bytes each: which tensor, what happens to it,
// and with what. Whatever comes of it is opened, paired and planned, or refused.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/pair_findings.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "checked_model.hpp"
#include "forged_checkpoint.hpp"
#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

namespace {

using anamnesis::DType;
using anamnesis::Shape;
using anamnesis::checkpoint::Finding;
using anamnesis::checkpoint::open_recognised;
using anamnesis::checkpoint::RecognisedCheckpoint;
using anamnesis::testing::ForgedCheckpoint;
using anamnesis::testing::ForgedTensor;
using anamnesis::testing::TemporaryFolder;

constexpr std::array<const char*, 10> wrappers{"_orig_mod.",
                                               "module.",
                                               "base_model.model.",
                                               "model.",
                                               "language_model.",
                                               "_fsdp_wrapped_module.",
                                               "base_layer.",
                                               "lora_A.",
                                               "mtp.",
                                               "layers.1."};
constexpr std::array dtypes{DType::f8_e4m3,
                            DType::f8_e5m2,
                            DType::f32,
                            DType::u8,
                            DType::i32,
                            DType::f16,
                            DType::f8_e8m0,
                            DType::bf16};

void change(ForgedCheckpoint& forged, const std::uint8_t* at) {
    if (forged.tensors.empty()) {
        return;
    }
    ForgedTensor& tensor = forged.tensors[at[0] % forged.tensors.size()];
    switch (at[1] % 9) {
        case 0:
            forged.remove(std::string(tensor.name));
            break;
        case 1:
            tensor.name.insert(at[2] % (tensor.name.size() + 1), wrappers[at[3] % wrappers.size()]);
            break;
        case 2:
            tensor.dtype = dtypes[at[2] % dtypes.size()];
            tensor.shape.assign({std::uint64_t{at[3]} % 16 * 2, 8});
            break;
        case 3:
            tensor.shape.assign(at[2] % 4, at[3] % 9);
            break;
        case 4:
            forged.add(tensor.name + (at[2] % 2 == 0 ? "_scale" : "_scale_inv"),
                       {at[3] % 9U, at[4] % 3U});
            break;
        case 5:
            forged.config.set("quantization_config",
                              anamnesis::Json::Object{{"quant_method", "fp8"}});
            break;
        case 6:
            forged.config.set("rope_scaling",
                              anamnesis::Json::Object{{"type", at[2] % 2 == 0 ? "yarn" : "linear"},
                                                      {"factor", at[3]}});
            break;
        case 7: {
            ForgedTensor twin = tensor;
            twin.name = wrappers[at[2] % wrappers.size()] + twin.name;
            forged.tensors.push_back(twin);
            break;
        }
        default:
            forged.config.set(at[2] % 2 == 0 ? "tie_word_embeddings" : "num_hidden_layers",
                              at[2] % 2 == 0 ? anamnesis::Json(at[3] % 2 == 0)
                                             : anamnesis::Json(std::uint64_t{at[3]} % 5));
    }
}

bool has_twins(const ForgedCheckpoint& forged) {
    std::vector<std::string> names;
    for (const ForgedTensor& tensor : forged.tensors) {
        names.push_back(tensor.name);
    }
    std::ranges::sort(names);
    return std::ranges::adjacent_find(names) != names.end();
}

void expect_bounded(const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
        anamnesis::fuzz::expect(!finding.code.empty() && !finding.sentence.empty(),
                                "a finding has a code and a sentence");
        anamnesis::fuzz::expect(finding.examples.size() <= 3 && finding.count >= 1,
                                "a finding has a count and at most three examples");
    }
    anamnesis::fuzz::expect(findings.size() < 60, "there is one finding a kind");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const TemporaryFolder pre_folder;
    static const TemporaryFolder post_folder;
    std::array<ForgedCheckpoint, 2> sides{anamnesis::testing::forged_llama(),
                                          anamnesis::testing::forged_llama()};
    for (std::size_t i = 0; i + 5 <= size && i < 100; i += 5) {
        change(sides[data[i + 4] % 2], data + i);
    }
    if (has_twins(sides[0]) || has_twins(sides[1])) {
        return 0;  // no header has a name twice
    }
    anamnesis::fuzz::accept_value_or_refusal([&] {
        sides[0].write(pre_folder, 1);
        sides[1].write(post_folder, size == 0 ? 1 : 1U + data[0] % 2);
        const RecognisedCheckpoint pre = open_recognised(pre_folder.path());
        const RecognisedCheckpoint post = open_recognised(post_folder.path());
        anamnesis::fuzz::expect_valid_rows(post.checkpoint, post.model);
        expect_bounded(post.findings());
        expect_bounded(anamnesis::restore::collect_findings(pre, post));
        static_cast<void>(anamnesis::restore::make_plan(pre, post, {}));
    });
    return 0;
}
