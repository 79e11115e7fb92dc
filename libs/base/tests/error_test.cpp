// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"

#include <cerrno>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/check.hpp"

namespace anamnesis {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ErrorKind, HasOneExitCodeEach) {
    using enum ErrorKind;
    EXPECT_EQ(to_exit_code(usage), 2);
    EXPECT_EQ(to_exit_code(not_found), 3);
    EXPECT_EQ(to_exit_code(malformed), 4);
    EXPECT_EQ(to_exit_code(unsupported), 5);
    EXPECT_EQ(to_exit_code(mismatch), 6);
    EXPECT_EQ(to_exit_code(io), 7);
    EXPECT_EQ(to_exit_code(exhausted), 8);
    EXPECT_EQ(to_exit_code(internal), 70);
    EXPECT_EQ(to_exit_code(cancelled), 130);
}

TEST(ErrorKind, HasOneNameEach) {
    using enum ErrorKind;
    std::set<std::string_view> names;
    for (const ErrorKind kind :
         {usage, not_found, malformed, unsupported, mismatch, io, exhausted, cancelled, internal}) {
        names.insert(to_string(kind));
    }
    EXPECT_EQ(names.size(), 9U);
    EXPECT_EQ(to_string(not_found), "not found");
}

TEST(Error, AddsContextOnTheWayUp) {
    try {
        in_context([] { return std::string("opening checkpoint post/"); },
                   [] {
                       in_context([] { return std::string("reading the header"); },
                                  [] { throw Error(ErrorKind::malformed, "too short"); });
                   });
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
        EXPECT_EQ(error.message(), "too short");
        EXPECT_THAT(error.context(), ElementsAre("reading the header", "opening checkpoint post/"));
        EXPECT_STREQ(error.what(),
                     "too short\n  while reading the header\n  while opening checkpoint post/");
    }
}

TEST(InContext, DescribesOnlyFailures) {
    const int value = in_context(
        []() -> std::string {
            ADD_FAILURE() << "described a success";
            return {};
        },
        [] { return 7; });
    EXPECT_EQ(value, 7);
}

TEST(InContext, HandsReferencesOn) {
    int number = 1;
    int& same = in_context([] { return std::string(); }, [&]() -> int& { return number; });
    EXPECT_EQ(&same, &number);
}

TEST(InContext, LetsForeignExceptionsPass) {
    EXPECT_THROW(in_context([] { return std::string(); }, [] { throw std::runtime_error("x"); }),
                 std::runtime_error);
}

TEST(IoError, TellsCausesApart) {
    EXPECT_EQ(io_error("writing", EIO).kind(), ErrorKind::io);
    EXPECT_EQ(io_error("writing", EACCES).kind(), ErrorKind::io);
    EXPECT_EQ(io_error("writing", ENOSPC).kind(), ErrorKind::exhausted);
    EXPECT_EQ(io_error("writing", EDQUOT).kind(), ErrorKind::exhausted);
    EXPECT_EQ(io_error("writing", ENOMEM).kind(), ErrorKind::exhausted);
    EXPECT_EQ(io_error("opening", ENOENT).kind(), ErrorKind::not_found);
    EXPECT_THAT(io_error("writing 'x'", ENOSPC).what(),
                AllOf(HasSubstr("writing 'x': "), HasSubstr("No space left")));
}

TEST(Check, ThrowsInternalAndSaysWhere) {
    EXPECT_NO_THROW(ANAMNESIS_CHECK(1 + 1 == 2, "arithmetic"));
    try {
        ANAMNESIS_CHECK(1 + 1 == 3, "arithmetic broke");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::internal);
        EXPECT_THAT(error.what(),
                    AllOf(HasSubstr("arithmetic broke"),
                          HasSubstr("1 + 1 == 3"),
                          HasSubstr("error_test.cpp:")));
    }
}

}  // namespace
}  // namespace anamnesis
