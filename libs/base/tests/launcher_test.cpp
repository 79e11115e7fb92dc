// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/launcher.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

namespace anamnesis {
namespace {

/// Sets variables, of all that launchers set, for one test.
class LaunchedRankOf : public ::testing::Test {
protected:
    LaunchedRankOf() { clear(); }
    ~LaunchedRankOf() override { clear(); }

    static void set(const char* name, const char* value) { setenv(name, value, 1); }

private:
    static void clear() {
        for (const char* name : {"OMPI_COMM_WORLD_RANK",
                                 "OMPI_COMM_WORLD_SIZE",
                                 "OMPI_COMM_WORLD_LOCAL_RANK",
                                 "PMI_RANK",
                                 "PMI_SIZE",
                                 "MPI_LOCALRANKID",
                                 "SLURM_PROCID",
                                 "SLURM_STEP_NUM_TASKS",
                                 "SLURM_LOCALID"}) {
            unsetenv(name);
        }
    }
};

TEST_F(LaunchedRankOf, NobodyIsNone) {
    EXPECT_FALSE(launched_rank());
}

TEST_F(LaunchedRankOf, MpirunIsFoundWithItsPlaceOnTheMachine) {
    set("OMPI_COMM_WORLD_RANK", "5");
    set("OMPI_COMM_WORLD_SIZE", "8");
    set("OMPI_COMM_WORLD_LOCAL_RANK", "1");
    ASSERT_TRUE(launched_rank());
    EXPECT_EQ(launched_rank()->rank, 5U);
    EXPECT_EQ(launched_rank()->count, 8U);
    EXPECT_EQ(launched_rank()->local, 1U);
}

TEST_F(LaunchedRankOf, SrunIsFound) {
    set("SLURM_PROCID", "3");
    set("SLURM_STEP_NUM_TASKS", "4");
    set("SLURM_LOCALID", "3");
    ASSERT_TRUE(launched_rank());
    EXPECT_EQ(launched_rank()->rank, 3U);
    EXPECT_EQ(launched_rank()->local, 3U);
}

/// It has the task count of its job, and runs once.
TEST_F(LaunchedRankOf, ABatchScriptIsNone) {
    set("SLURM_PROCID", "0");
    set("SLURM_NTASKS", "4");
    EXPECT_FALSE(launched_rank());
    unsetenv("SLURM_NTASKS");
}

TEST_F(LaunchedRankOf, ARankOutsideTheCountIsNone) {
    set("SLURM_PROCID", "4");
    set("SLURM_STEP_NUM_TASKS", "4");
    EXPECT_FALSE(launched_rank());
    set("SLURM_PROCID", "some");
    EXPECT_FALSE(launched_rank());
}

}  // namespace
}  // namespace anamnesis
