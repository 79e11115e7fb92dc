// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/demo_pair.hpp"

#include <filesystem>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/train/synthetic/words.hpp"

#include "demo_weights.hpp"

namespace anamnesis::reproduction {
namespace {

namespace fs = std::filesystem;

void write_checkpoint(const fs::path& folder, std::string_view weights) {
    constexpr const char* name = "model.safetensors";
    if (fs::exists(folder)) {
        if (!fs::exists(folder / name) || io::read_text(folder / name) != weights) {
            throw Error(
                ErrorKind::usage,
                format("{} is in the way; choose another --out", in_quotes(folder.string(), 1000)));
        }
        return;
    }
    io::AtomicDirectory output(folder);
    io::write_text_atomically(output.path() / name, weights);
    io::write_text_atomically(output.path() / "config.json",
                              standard_recipe().hybrid.dump(2) + "\n");
    io::write_text_atomically(output.path() / "tokenizer.json", train::synthetic::tokenizer_json());
    io::write_text_atomically(output.path() / "tokenizer_config.json",
                              train::synthetic::tokenizer_config_json());
    output.commit();
}

}  // namespace

void write_demo_pair(const fs::path& folder) {
    fs::create_directories(folder);
    write_checkpoint(folder / "pre", embedded::demo_pre());
    write_checkpoint(folder / "post", embedded::demo_post());
}

}  // namespace anamnesis::reproduction
