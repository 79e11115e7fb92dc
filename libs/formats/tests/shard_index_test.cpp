// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/shard_index.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ShardIndex, ListsFilesOnce) {
    const ShardIndex index = parse_shard_index(
        R"({"metadata":{"total_size":12},"weight_map":{"b":"2.safetensors","a":"1.safetensors","c":"2.safetensors"}})");
    EXPECT_THAT(index.files(), ElementsAre("1.safetensors", "2.safetensors"));
    EXPECT_EQ(index.total_size, 12U);
}

TEST(ShardIndex, RefusesNamesThatLeaveTheFolder) {
    for (const char* name :
         {"../x.safetensors", "/etc/x", "a/b", "a\\\\b", "..", ".", "", "C:x", "x\\u0000y"}) {
        const std::string json = std::string(R"({"weight_map":{"layer.w":")") + name + "\"}}";
        try {
            parse_shard_index(json);
            ADD_FAILURE() << name << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed);
            EXPECT_THAT(error.what(), HasSubstr("'layer.w'"));
            EXPECT_THAT(error.what(), HasSubstr("plain file name"));
        }
    }
}

TEST(ShardIndex, RefusesATensorMappedTwice) {
    EXPECT_THROW(parse_shard_index(R"({"weight_map":{"a":"1","a":"2"}})"), Error);
}

TEST(ShardIndex, RefusesOtherTypes) {
    for (const char* json : {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})"}) {
        EXPECT_THROW(parse_shard_index(json), Error) << json;
    }
}

TEST(ShardIndex, TakesNoSizeFromAnythingButANumber) {
    EXPECT_FALSE(
        parse_shard_index(R"({"metadata":{"total_size":"12"},"weight_map":{}})").total_size);
    EXPECT_FALSE(parse_shard_index(R"({"metadata":{"total_size":-5},"weight_map":{}})").total_size);
    EXPECT_EQ(parse_shard_index(R"({"metadata":{"total_size":8.0},"weight_map":{}})").total_size,
              8U);
}

}  // namespace
}  // namespace anamnesis::formats
