// SPDX-License-Identifier: Apache-2.0
// Input: a file of RULER's prompts. What is read and written again reads the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/eval/ruler/prompts_file.hpp"
#include "anamnesis/eval/sample.hpp"

#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace anamnesis;
    static const testing::TemporaryFolder folder;
    const auto path = folder.write("prompts.jsonl", fuzz::to_text(data, size));
    fuzz::accept_value_or_refusal([&] {
        const std::vector<eval::Sample> samples = eval::read_ruler_prompts(path, "task");
        std::string written;
        for (const eval::Sample& sample : samples) {
            written += eval::to_ruler_line(sample);
        }
        const auto again = eval::read_ruler_prompts(folder.write("again.jsonl", written), "task");
        fuzz::expect(again.size() == samples.size(), "every prompt is written");
        for (std::size_t i = 0; i < samples.size(); ++i) {
            fuzz::expect(again[i].input == samples[i].input &&
                             again[i].answer_prefix == samples[i].answer_prefix &&
                             again[i].references == samples[i].references,
                         "a prompt survives the file");
        }
    });
    return 0;
}
