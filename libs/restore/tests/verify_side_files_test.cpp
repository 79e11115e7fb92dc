// SPDX-License-Identifier: Apache-2.0
#include "verify_side_files.hpp"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/verify.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::restore {
namespace {

using ::testing::ElementsAre;
using testing::forged_llama;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TemporaryFolder;

class VerifySideFiles : public ::testing::Test {
protected:
    VerifySideFiles() {
        for (const TemporaryFolder* folder : {&post_, &repaired_}) {
            forged_llama().write(*folder);
            folder->write("README.md", "# card\n");
            // Larger than the piece that is compared at once, different bytes in the second.
            folder->write("tokenizer.json", std::string((1U << 20U) + 100, 't'));
        }
    }

    Verification compare() const {
        Verification result;
        compare_side_files(checkpoint::Checkpoint::open(post_.path()),
                           checkpoint::Checkpoint::open(repaired_.path()),
                           result);
        return result;
    }

    TemporaryFolder post_;
    TemporaryFolder repaired_;
};

TEST_F(VerifySideFiles, FindNothingInEqualFolders) {
    EXPECT_THAT(compare().deviations, IsEmpty());
    EXPECT_THAT(compare().notes, IsEmpty());
}

TEST_F(VerifySideFiles, NameAFileThatDiffersInItsLastPiece) {
    repaired_.write("tokenizer.json", std::string((1U << 20U) + 99, 't') + "x");
    EXPECT_THAT(compare().deviations, ElementsAre(HasSubstr("tokenizer.json")));
}

TEST_F(VerifySideFiles, NameAFileThatIsShorterLongerOrMissing) {
    repaired_.write("tokenizer.json", std::string(1U << 20U, 't'));
    EXPECT_THAT(compare().deviations, SizeIs(1));
    repaired_.write("tokenizer.json", std::string((1U << 20U) + 101, 't'));
    EXPECT_THAT(compare().deviations, SizeIs(1));
    std::filesystem::remove(repaired_.path() / "tokenizer.json");
    EXPECT_THAT(compare().deviations, ElementsAre(HasSubstr("missing")));
}

TEST_F(VerifySideFiles, NoteASectionMoreOfTheModelCard) {
    repaired_.write("README.md", "# card\n\n## Repaired\n");
    EXPECT_THAT(compare().deviations, IsEmpty());
    EXPECT_THAT(compare().notes, ElementsAre(HasSubstr("README.md")));
    repaired_.write("README.md", "another card\n");
    EXPECT_THAT(compare().deviations, ElementsAre(HasSubstr("README.md")));
}

TEST_F(VerifySideFiles, DoNotWantRecordsOfTrainingAndOtherWeights) {
    for (const char* name : {"run.json", "metrics.jsonl", "resume/state.json", "old.bin"}) {
        post_.write(name, "{}");
    }
    EXPECT_THAT(compare().deviations, IsEmpty());
    post_.write("chat/template.jinja", "{{ messages }}");
    EXPECT_THAT(compare().deviations, ElementsAre(HasSubstr("template.jinja")));
}

}  // namespace
}  // namespace anamnesis::restore
