// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::TensorGroup;
using testing::ElementsAre;
using testing::HasSubstr;

Request of_method(Method method) {
    Request request{};
    request.selection.method = method;
    return request;
}

void expect_refusal(const Request& request,
                    const GivenSettings& given,
                    const std::string& sentence) {
    try {
        complete_request(request, given);
        FAIL() << sentence;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr(sentence));
    }
}

TEST(CompleteRequest, GroupsWithoutAMethodAreCopied) {
    Request request{};
    request.selection.groups = {TensorGroup::mlp};
    EXPECT_EQ(complete_request(request, {.has_groups = true}).selection.method, Method::groups);
    request.selection.method = Method::lerp;
    EXPECT_EQ(complete_request(request, {.has_method = true, .has_groups = true}).selection.method,
              Method::lerp);
    request.selection.method = Method::pro;
    expect_refusal(request, {.has_method = true, .has_groups = true}, "--method pro was given too");
}

TEST(CompleteRequest, FitTakesQueriesAndKeys) {
    const Request request = complete_request(of_method(Method::fit), {.has_method = true});
    EXPECT_THAT(request.selection.groups, ElementsAre(TensorGroup::q, TensorGroup::k));
}

TEST(CompleteRequest, SettingsThatTheMethodIgnoresAreRefused) {
    expect_refusal(
        of_method(Method::qk), {.relative_lambdas = {1.0}}, "--lambda-rel belongs to --method pro");
    expect_refusal(
        of_method(Method::qk), {.absolute_lambdas = {1.0}}, "--lambda belongs to --method pro");
    expect_refusal(of_method(Method::qk), {.has_metric = true}, "--metric belongs to --method pro");
    expect_refusal(of_method(Method::qk), {.has_alpha = true}, "--alpha belongs to --method lerp");
    expect_refusal(of_method(Method::groups), {.has_method = true}, "--groups LIST");
}

TEST(CompleteRequest, StrengthsOfBothKindsAreListed) {
    const Request request = complete_request(
        of_method(Method::pro),
        {.has_method = true, .relative_lambdas = {0.1, 1.0}, .absolute_lambdas = {3.0}});
    ASSERT_EQ(request.lambdas.size(), 3U);
    EXPECT_TRUE(request.lambdas[1].is_relative);
    EXPECT_FALSE(request.lambdas[2].is_relative);
    EXPECT_EQ(request.lambdas[2].value, 3.0);
    expect_refusal(of_method(Method::pro),
                   {.has_method = true, .relative_lambdas = {-0.5}},
                   "lambda -0.5 is negative");
}

}  // namespace
}  // namespace anamnesis::restore
