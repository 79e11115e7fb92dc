// SPDX-License-Identifier: Apache-2.0
#include "http/request_length.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

namespace anamnesis::serve {
namespace {

using ::testing::HasSubstr;

httplib::Request make_request(const std::string& method, const httplib::Headers& headers) {
    httplib::Request request;
    request.method = method;
    request.headers = headers;
    return request;
}

TEST(RequestLength, IsAWholeNumberUpToTheLimit) {
    const auto find = [](const httplib::Headers& headers) {
        return find_wrong_length(make_request("POST", headers), 100);
    };
    EXPECT_FALSE(find({}));
    for (const char* length : {"0", "7", "100"}) {
        EXPECT_FALSE(find({{"Content-Length", length}})) << length;
    }
    for (const char* length : {"-5", "five", "5x", "", "+5", "5,5", "0x10"}) {
        const auto failure = find({{"Content-Length", length}});
        ASSERT_TRUE(failure) << length;
        EXPECT_EQ(failure->status, 400);
        EXPECT_THAT(failure->message, HasSubstr("not '" + std::string(length) + "'"));
    }
    EXPECT_EQ(find({{"Content-Length", "5"}, {"Content-Length", "5"}})->status, 400);
    for (const char* length : {"101", "99999999999999999999999"}) {
        const auto failure = find({{"Content-Length", length}});
        ASSERT_TRUE(failure) << length;
        EXPECT_EQ(failure->status, 413);
    }
}

TEST(RequestLength, OnlyABodyWithoutAnEndIsWaitedFor) {
    for (const char* method : {"POST", "PUT", "PATCH"}) {
        EXPECT_TRUE(waits_for_body(make_request(method, {}))) << method;
        EXPECT_FALSE(waits_for_body(make_request(method, {{"Content-Length", "0"}}))) << method;
        EXPECT_FALSE(waits_for_body(make_request(method, {{"Transfer-Encoding", "Chunked"}})))
            << method;
        EXPECT_TRUE(waits_for_body(make_request(method, {{"Transfer-Encoding", "gzip"}})))
            << method;
    }
    EXPECT_FALSE(waits_for_body(make_request("GET", {})));
    EXPECT_FALSE(has_body(make_request("PUT", {{"Content-Length", "0"}})));
    EXPECT_TRUE(has_body(make_request("PUT", {{"Content-Length", "-5"}})));
}

}  // namespace
}  // namespace anamnesis::serve
