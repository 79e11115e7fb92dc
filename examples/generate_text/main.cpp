// SPDX-License-Identifier: Apache-2.0
// generate_text CHECKPOINT PROMPT [TOKENS]: prints how the model continues the prompt, greedily.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace {

using namespace anamnesis;

/// `load` maps the weights; the checkpoint itself need not live longer.
std::unique_ptr<language::LanguageModel> load_model(const char* path) {
    const auto checkpoint = checkpoint::Checkpoint::open(path);
    const auto model = checkpoint::recognise(checkpoint);
    return runtime::HybridModel::load(checkpoint, model, {});
}

void continue_prompt(language::LanguageModel& model, std::string_view prompt, std::size_t tokens) {
    const std::unique_ptr<language::Sequence> sequence = model.start();
    model.prefill(*sequence, model.encode_beginning(prompt));

    language::DecodingOptions options;
    options.max_new_tokens = tokens;
    options.on_text = [](std::size_t, std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stdout);
    };
    const std::array sequences{sequence.get()};
    model.generate(sequences, options);
    std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) {
        std::fprintf(stderr, "usage: generate_text CHECKPOINT PROMPT [TOKENS]\n");
        return 2;
    }
    try {
        const auto model = load_model(argv[1]);
        continue_prompt(*model, argv[2], argc == 4 ? std::strtoul(argv[3], nullptr, 10) : 64);
    } catch (const Error& error) {
        std::fprintf(stderr, "generate_text: %s\n", error.what());
        return to_exit_code(error.kind());
    }
    return 0;
}
