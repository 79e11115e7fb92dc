// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/measurement.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/comparison.hpp"
#include "anamnesis/reproduction/demo_pair.hpp"
#include "anamnesis/reproduction/probe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::reproduction {
namespace {

using anamnesis::testing::TemporaryFolder;
using ::testing::HasSubstr;

class CountedProgress final : public Progress {
public:
    void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
    void advance(std::uint64_t more) override { count += more; }
    void finish() override {}

    std::uint64_t count = 0;
};

class DemoPair : public ::testing::Test {
protected:
    static Measurement ask(const std::filesystem::path& folder, const Questions& questions) {
        return measure(load_network(folder), questions);
    }

    TemporaryFolder folder_;
};

TEST_F(DemoPair, ForgetsInExchangeForReasoning) {
    write_demo_pair(folder_.path());
    const Questions questions{
        .lengths = {512}, .recall_samples = 40, .reasoning_samples = 40, .seed = 3};
    const Measurement pre = ask(folder_.path() / "pre", questions);
    const Measurement post = ask(folder_.path() / "post", questions);
    EXPECT_GE(pre.recall_percent(512), 95.0);
    EXPECT_LE(pre.reasoning.percent(), 5.0);
    EXPECT_LE(post.recall_percent(512), pre.recall_percent(512) - 15.0);
    EXPECT_GE(post.reasoning.percent(), 95.0);
}

TEST_F(DemoPair, StaysWhereItIsAndRefusesWhatIsInTheWay) {
    write_demo_pair(folder_.path());
    EXPECT_NO_THROW(write_demo_pair(folder_.path()));
    std::filesystem::resize_file(folder_.path() / "post/model.safetensors", 100);
    EXPECT_THROW(write_demo_pair(folder_.path()), Error);
}

TEST_F(DemoPair, AnswersTheSameQuestionsInTheSameWay) {
    write_demo_pair(folder_.path());
    const Questions questions{
        .lengths = {128, 256}, .recall_samples = 5, .reasoning_samples = 3, .seed = 3};
    CountedProgress progress;
    const auto network = load_network(folder_.path() / "post");
    const Measurement first = measure(network, questions, Watch(progress, {}));
    EXPECT_EQ(progress.count, count_parts(questions));
    const Json json = to_json(first);
    EXPECT_EQ(to_json(measure(network, questions)), json);
    EXPECT_EQ(to_json(read_measurement(json)), json);
    EXPECT_EQ(first.reasoning.outcomes.size(), 3U);
    EXPECT_THROW(static_cast<void>(first.recall_percent(512)), Error);
    std::stop_source stopped;
    stopped.request_stop();
    EXPECT_THROW(
        static_cast<void>(measure(network, questions, Watch(progress, stopped.get_token()))),
        Error);
}

TEST(AProbe, AsksEachLengthOnce) {
    ProbeJob job;
    job.questions = {.lengths = {128, 256, 128}, .recall_samples = 1};
    try {
        static_cast<void>(run_probe(job));
        ADD_FAILURE() << "a length was taken twice";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("--lengths names 128 twice"));
    }
}

TEST_F(DemoPair, IsWrittenIntoNoFolderOfOthers) {
    folder_.write("seed-1/recipe.json", "{}");
    try {
        write_demo_pair(folder_.path());
        ADD_FAILURE() << "the folder of a reproduction was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("seed-1"));
    }
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "pre"));
}

TEST(AMeasurement, IsReadWithCare) {
    const char* whole = R"({"S1": {"128": "10"}, "S2": {"128": "11"}, "S3": {"128": "00"},
                            "reasoning": "1"})";
    const Measurement measurement = read_measurement(Json::parse(whole));
    EXPECT_EQ(measurement.recall_percent(0, 128), 50.0);
    EXPECT_EQ(measurement.recall_percent(128), 50.0);
    for (const char* bad :
         {R"({"S1": {"128": "12"}, "S2": {}, "S3": {}, "reasoning": "1"})",
          R"({"S1": {"128": "1"}, "S2": {}, "S3": {"128": "1"}, "reasoning": ""})",
          R"({"S1": {"long": "1"}, "S2": {}, "S3": {}, "reasoning": ""})",
          R"({"S1": {"128": "1"}})"}) {
        EXPECT_THROW(read_measurement(Json::parse(bad)), Error) << bad;
    }
}

TEST(AComparison, TellsWhatComesBack) {
    const auto all = [](const std::string& digits) {
        return read_measurement(Json::Object{{"S1", Json::Object{{"128", digits}}},
                                             {"S2", Json::Object{{"128", digits}}},
                                             {"S3", Json::Object{{"128", digits}}},
                                             {"reasoning", "1"}});
    };
    const std::vector<NamedMeasurement> checkpoints{
        {.name = "pre", .measurement = all("1111")},
        {.name = "post", .measurement = all("0000")},
        {.name = "repaired", .measurement = all("1110")}};
    const std::string markdown = report::to_markdown(to_document(checkpoints));
    EXPECT_THAT(markdown, HasSubstr("| repaired | 128 | 100.0 | 0.0 | 75.0 | 75 |"));
    EXPECT_THAT(to_text(checkpoints), HasSubstr("75.0"));
    EXPECT_EQ(to_json(checkpoints)
                  .as_array("models")[2]
                  .at("S2")
                  .at("128")
                  .at("right")
                  .as_unsigned("right"),
              3U);
}

}  // namespace
}  // namespace anamnesis::reproduction
