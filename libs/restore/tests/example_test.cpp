// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/example.hpp"

#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::restore {
namespace {

TEST(ExamplePair, KeepsItsBytesAndIsRecognised) {
    const testing::TemporaryFolder folder;
    write_example_pair(folder.path());
    for (const auto& [side, digest] :
         {std::pair{"pre", "c6651d8efeb603225344734d9ccaedac3dff75905d520314b875ba1639986918"},
          std::pair{"post", "7adbc32498386ceda988f18ec9c2b046ccf38b4762ebc4b153779dc24e159233"}}) {
        EXPECT_EQ(compute_sha256(io::read_text(folder.path() / side / "model.safetensors")),
                  digest);
        EXPECT_EQ(compute_sha256(io::read_text(folder.path() / side / "config.json")),
                  "ff672571ab7e40d6d94ca818ea5f2ad0de9dc57c6bdff5f12e8986bcdbe0899a");
        const auto model =
            checkpoint::recognise(checkpoint::Checkpoint::open(folder.path() / side));
        EXPECT_THAT(model.findings, ::testing::IsEmpty());
    }
}

}  // namespace
}  // namespace anamnesis::restore
