// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>

#include <benchmark/benchmark.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {
namespace {

const std::filesystem::path shared = std::filesystem::path(ANAMNESIS_SHARED) / "data";

void open_tokenizer(benchmark::State& state) {
    for (auto _ : state) {
        benchmark::DoNotOptimize(Tokenizer::open(shared / "tokenizers/qwen2.5"));
    }
}

void encode_essays(benchmark::State& state) {
    const Tokenizer tokenizer = Tokenizer::open(shared / "tokenizers/qwen2.5");
    const Json essays = Json::parse(io::read_text(shared / "essays/PaulGrahamEssays.json"));
    const std::string& text = essays.at("text").as_string("text");
    for (auto _ : state) {
        benchmark::DoNotOptimize(tokenizer.encode(text));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}

BENCHMARK(open_tokenizer)->Unit(benchmark::kMillisecond);
BENCHMARK(encode_essays)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace anamnesis::language
