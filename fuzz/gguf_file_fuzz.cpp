// SPDX-License-Identifier: Apache-2.0
// Input: a whole file.
#include <cstddef>
#include <cstdint>

#include "anamnesis/formats/gguf.hpp"

#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const anamnesis::testing::TemporaryFolder folder;
    const auto path = folder.write("model.gguf", anamnesis::fuzz::to_text(data, size));
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto file = anamnesis::formats::open_gguf(path);
        anamnesis::fuzz::expect(file.file_bytes == size, "the file keeps its size");
        std::uint64_t end = file.data_begin;
        for (const auto& tensor : file.tensors) {
            anamnesis::fuzz::expect(tensor.offset >= end, "tensors do not overlap");
            anamnesis::fuzz::expect(tensor.bytes <= size && tensor.offset <= size - tensor.bytes,
                                    "a tensor lies in its file");
            end = tensor.offset + tensor.bytes;
        }
        for (const auto& key : file.metadata.keys()) {
            anamnesis::fuzz::expect(file.metadata.find(key.name) == &key, "a key has one name");
            static_cast<void>(file.metadata.describe(key));
        }
    });
    return 0;
}
