// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/digest.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace anamnesis {
namespace {

// Source: FIPS 180-4, examples of the NIST Cryptographic Standards and Guidelines page.
TEST(Sha256, GivesTheExamplesOfTheStandard) {
    EXPECT_EQ(compute_sha256(""),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(compute_sha256("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(compute_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(compute_sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
                             "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
              "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    EXPECT_EQ(compute_sha256(std::string(1'000'000, 'a')),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePieces) {
    const std::string text(1000, 'x');
    for (const std::size_t piece : {1U, 63U, 64U, 65U, 999U}) {
        Sha256 digest;
        for (std::string_view left = text; !left.empty();) {
            digest.update(left.substr(0, piece));
            left.remove_prefix(std::min(piece, left.size()));
        }
        EXPECT_EQ(digest.finish(), compute_sha256(text)) << piece;
    }
}

TEST(Sha256, KeepsItsStateWhenMoved) {
    Sha256 first;
    first.update("ab");
    Sha256 second = std::move(first);
    second.update("c");
    EXPECT_EQ(second.finish(), compute_sha256("abc"));
}

}  // namespace
}  // namespace anamnesis
