// SPDX-License-Identifier: Apache-2.0
// Input: a whole file.
#include <cstddef>
#include <cstdint>

#include "anamnesis/formats/safetensors.hpp"

#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const anamnesis::testing::TemporaryFolder folder;
    const auto path = folder.write("model.safetensors", anamnesis::fuzz::to_text(data, size));
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto file = anamnesis::formats::SafetensorsFile::open(path);
        anamnesis::fuzz::expect(file.file_bytes() == size, "the file keeps its size");
        for (const auto& tensor : file.tensors()) {
            anamnesis::fuzz::expect(file.find(tensor.name) == &tensor, "a tensor has one name");
            anamnesis::fuzz::expect(tensor.data.end() <= size - file.data_begin(),
                                    "a tensor lies in its file");
        }
    });
    return 0;
}
