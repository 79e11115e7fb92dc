// SPDX-License-Identifier: Apache-2.0
// Input: an anamnesis.undo, or the description in its metadata. Nothing is rolled back.
#include <cstddef>
#include <cstdint>
#include <string>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/restore/apply.hpp"

#include "described_file.hpp"
#include "fuzz_target.hpp"
#include "temporary_folder.hpp"
#include "undo_file.hpp"
#include "undo_place.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const anamnesis::testing::TemporaryFolder folder;
    const std::string bytes =
        anamnesis::fuzz::file_from(anamnesis::fuzz::to_text(data, size),
                                   "anamnesis.undo",
                                   {{.name = "0", .dtype = anamnesis::DType::u8, .shape = {64}},
                                    {.name = "1", .dtype = anamnesis::DType::u8, .shape = {8}}});
    folder.write(anamnesis::restore::undo_name, bytes);
    anamnesis::fuzz::accept_value_or_refusal([&] {
        const auto undo =
            anamnesis::restore::UndoFile::open(anamnesis::restore::find_undo_place(folder.path()));
        for (const auto& range : undo.ranges()) {
            anamnesis::fuzz::expect(range.file.find('/') == std::string::npos && range.file != "..",
                                    "a range lies in the folder");
        }
    });
    return 0;
}
