// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/eval/run_folder.hpp"

namespace anamnesis::eval {

/// Two runs of one kind as one. A checkpoint's name that both have is followed by the second
/// folder's; where prompts or decoding differ, so are the ids, so that no answers to different
/// questions are held against each other. Settings that differ are kept side by side.
RunRecord join_runs(RunRecord first, RunRecord second, const std::string& second_name);

}  // namespace anamnesis::eval
