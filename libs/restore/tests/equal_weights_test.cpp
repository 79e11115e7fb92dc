// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/equal_weights.hpp"

#include <stop_token>

#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::restore {
namespace {

using anamnesis::testing::forged_llama;
using anamnesis::testing::ForgedCheckpoint;
using anamnesis::testing::TemporaryFolder;

bool are_equal(const TemporaryFolder& pre, const TemporaryFolder& post) {
    return are_weights_equal(checkpoint::open_recognised(pre.path()),
                             checkpoint::open_recognised(post.path()));
}

TEST(EqualWeights, AreThoseOfTheSameBytesHoweverTheyAreStored) {
    const TemporaryFolder one;
    forged_llama().write(one);
    EXPECT_TRUE(are_equal(one, one));
    const TemporaryFolder sharded;
    forged_llama().write_sharded(sharded, 3);
    EXPECT_TRUE(are_equal(one, sharded));
    const TemporaryFolder other;
    forged_llama().write(other, 2);
    EXPECT_FALSE(are_equal(one, other));
}

TEST(EqualWeights, HaveACounterpartOfTheSameType) {
    const TemporaryFolder whole;
    forged_llama().write(whole);
    ForgedCheckpoint less = forged_llama();
    less.remove("model.layers.1.mlp.up_proj.weight");
    const TemporaryFolder part;
    less.write(part);
    EXPECT_FALSE(are_weights_equal(
        checkpoint::open_recognised(part.path(), {}, {.missing = checkpoint::Missing::warn}),
        checkpoint::open_recognised(whole.path())));
    ForgedCheckpoint wide = forged_llama();
    wide.at("model.norm.weight").dtype = DType::f32;
    const TemporaryFolder wider;
    wide.write(wider);
    EXPECT_FALSE(are_equal(whole, wider));
}

TEST(EqualWeights, AreNotComparedAfterAStop) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    const auto checkpoint = checkpoint::open_recognised(folder.path());
    SilentProgress silent;
    std::stop_source stopped;
    stopped.request_stop();
    try {
        are_weights_equal(checkpoint, checkpoint, Watch(silent, stopped.get_token()));
        ADD_FAILURE() << "a stopped comparison went on";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
}

}  // namespace
}  // namespace anamnesis::restore
