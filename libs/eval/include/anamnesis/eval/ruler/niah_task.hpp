// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace anamnesis::eval {

enum class Haystack : std::uint8_t {
    noise,   ///< one five-sentence line, repeated
    essay,   ///< running text
    needle,  ///< needles that are not asked for
};

enum class NeedleKind : std::uint8_t { words, numbers, uuids };
std::string_view to_string(NeedleKind kind) noexcept;

/// One of RULER's needle-in-a-haystack tasks.
///
/// Source: NVIDIA/RULER c3f5e3b, scripts/synthetic.yaml. S1, S2, S3 of Zhou et al. are
///         niah_single_1, 2, 3.
struct NiahTask {
    std::string_view name;
    Haystack haystack = Haystack::essay;
    NeedleKind key_kind = NeedleKind::words;
    NeedleKind value_kind = NeedleKind::numbers;
    std::size_t keys = 1;
    std::size_t values = 1;   ///< a key
    std::size_t queries = 1;  ///< keys that are asked for

    std::size_t needles() const { return keys * values; }
    /// One answer: RULER then words the question in the singular.
    bool is_singular() const { return values * queries == 1; }
};

/// All eight, S1 first.
std::span<const NiahTask> niah_tasks() noexcept;

/// By name, with or without "niah_", or s1, s2, s3.
/// Errors: `usage`, naming what was meant perhaps.
const NiahTask& niah_task(std::string_view name);

/// RULER's chat wrappers by name (base, meta-chat, vicuna-chat, lwm-chat…), with `{task_template}`
/// where the prompt goes. Errors: `usage`.
std::string_view ruler_wrapper(std::string_view name);

}  // namespace anamnesis::eval
