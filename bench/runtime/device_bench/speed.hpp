// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <filesystem>

#include "settings.hpp"

namespace anamnesis::bench {

/// Prints the speed of reading prompts and of going on, against the device's own rates, shorter
/// prompts first; and what memory it took.
void measure_speed(const std::filesystem::path& folder,
                   at::Device device,
                   const Settings& settings);

/// Prints what a piece of a prompt and a few more tokens do on the device: kernels by their time,
/// copies to the host, calls that wait; and writes the profiler's trace of the tokens.
void trace(const std::filesystem::path& folder, at::Device device, const Settings& settings);

}  // namespace anamnesis::bench
