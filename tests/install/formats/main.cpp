// SPDX-License-Identifier: Apache-2.0
// formats_consumer FILE.safetensors: prints how many tensors it holds.
#include <cstdio>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/version.hpp"
#include "anamnesis/formats/safetensors.hpp"

int main(int argc, char** argv) {
    try {
        const auto file = anamnesis::formats::SafetensorsFile::open(argc > 1 ? argv[1] : "");
        std::printf("%zu tensors, read by anamnesis %s (%s)\n",
                    file.tensors().size(),
                    anamnesis::version().data(),
                    anamnesis::commit().data());
        return file.tensors().empty() ? 1 : 0;
    } catch (const anamnesis::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return anamnesis::to_exit_code(error.kind());
    }
}
