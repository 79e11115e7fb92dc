// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/formats/catalog.hpp"

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/formats/safetensors.hpp"

namespace anamnesis::formats {
namespace {

struct Container {
    std::string_view extension;
    Catalog (*open)(const std::filesystem::path& path);
};

constexpr std::array containers{
    Container{".safetensors", open_safetensors_catalog},
    Container{".gguf", open_gguf_catalog},
};

}  // namespace

Catalog open_catalog(const std::filesystem::path& path) {
    const std::string extension = path.extension().string();
    for (const Container& container : containers) {
        if (container.extension == extension) {
            return container.open(path);
        }
    }
    throw Error(
        ErrorKind::unsupported,
        format("{} is in no format that is read here; expected a .safetensors or .gguf file",
               in_quotes(path.string())));
}

}  // namespace anamnesis::formats
