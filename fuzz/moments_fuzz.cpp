// SPDX-License-Identifier: Apache-2.0
// Input: a file of moments, or the description in its metadata; every moment is scaled.
#include <cstddef>
#include <cstdint>
#include <string>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/moments.hpp"

#include "described_file.hpp"
#include "fuzz_target.hpp"
#include "temporary_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace anamnesis;
    static const testing::TemporaryFolder folder;
    const std::string bytes =
        fuzz::file_from(fuzz::to_text(data, size),
                        "anamnesis.moments",
                        {{.name = "q.S_R.2", .dtype = DType::f64, .shape = {4, 4}},
                         {.name = "k_attention.S_C.2", .dtype = DType::f64, .shape = {3, 4, 4}}});
    const auto path = folder.write("moments.safetensors", bytes);
    fuzz::accept_value_or_refusal([&] {
        const restore::MomentFile file = restore::MomentFile::open(path);
        for (const char* part : {"q", "k_attention"}) {
            for (const auto side :
                 {restore::CalibrationSide::recall, restore::CalibrationSide::chains}) {
                const restore::MomentKey key{.part = part, .side = side, .layer = LayerIndex(2)};
                if (!file.has(key)) {
                    continue;
                }
                restore::Moment moment = file.load(key);
                fuzz::expect(!moment.matrices.empty(), "a moment that is there has a matrix");
                restore::scale_moment(moment);
            }
        }
    });
    return 0;
}
