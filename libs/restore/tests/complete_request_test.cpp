// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/repair.hpp"
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
    // As a word in receipts, which is read again.
    const Request infinite = complete_request(
        of_method(Method::pro),
        {.has_method = true, .absolute_lambdas = {std::numeric_limits<double>::infinity()}});
    EXPECT_EQ(request_from_json(to_json(infinite)).lambdas.front().value,
              std::numeric_limits<double>::infinity());
}

TEST(ParseMus, ReadsNumbersAndInfinity) {
    EXPECT_THAT(parse_mus("0,0.3,inf"),
                ElementsAre(0.0, 0.3, std::numeric_limits<double>::infinity()));
    for (const char* text : {"", "-1", "0.3,", "nan", "1e999", "0.3x", "0.3,1,0.30"}) {
        EXPECT_THROW(parse_mus(text), Error) << text;
    }
}

TEST(FindDefaultMu, DependsOnGroupsAndRounds) {
    Selection routing = of_method(Method::fit).selection;
    routing.groups = {TensorGroup::q, TensorGroup::k};
    Selection all = routing;
    all.groups.insert({TensorGroup::v, TensorGroup::o});
    EXPECT_EQ(find_default_mu(routing, 0), 0.3);
    EXPECT_EQ(find_default_mu(routing, 2), 0.1);
    EXPECT_EQ(find_default_mu(all, 0), 1.0);
    EXPECT_EQ(find_default_mu(all, 2), 0.3);
}

TEST(CheckDestination, RefusesWhatBelongsToANewFolder) {
    using Kind = Destination::Kind;
    const Request one{};
    Request several = of_method(Method::pro);
    several.lambdas = {Lambda{.value = 0.1}, Lambda{.value = 1.0}};
    const auto refusal = [](const Request& request, const Destination& destination) {
        try {
            check_destination(request, destination);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            return error.message();
        }
        return std::string();
    };
    EXPECT_EQ(refusal(one, {.kind = Kind::copy, .output = {.links_unchanged = true}}), "");
    EXPECT_EQ(refusal(several, {.kind = Kind::copy, .path = "out"}), "");
    EXPECT_EQ(refusal(several, {.kind = Kind::patch, .path = "a.safetensors"}), "");
    EXPECT_THAT(refusal(one, {.kind = Kind::patch, .path = "fix.patch"}),
                HasSubstr("--patch fix.patch.safetensors"));
    EXPECT_THAT(refusal(several, {.kind = Kind::in_place}), HasSubstr("takes one strength"));
    EXPECT_THAT(refusal(several, {.kind = Kind::copy, .path = "out.safetensors"}),
                HasSubstr("need a folder as --out"));
    for (const Kind kind : {Kind::in_place, Kind::patch}) {
        EXPECT_EQ(refusal(one, {.kind = kind, .path = "p.safetensors"}), "");
        for (const OutputOptions& output : {OutputOptions{.links_unchanged = true},
                                            OutputOptions{.has_model_card = true},
                                            OutputOptions{.is_synced = false},
                                            OutputOptions{.has_clean_names = true},
                                            OutputOptions{.has_stamp = true},
                                            OutputOptions{.has_fixed_config = true}}) {
            EXPECT_THAT(refusal(one, {.kind = kind, .path = "p.safetensors", .output = output}),
                        HasSubstr("to --out"));
        }
    }
}

}  // namespace
}  // namespace anamnesis::restore
