// SPDX-License-Identifier: Apache-2.0
//
// Speed of a network on a device, one JSON line per figure (docs/runtime.md, "The check on a GPU"):
//
//   device_bench make DIR shape=hypenet|qwen3|hybrid [scale=full|small] [device=cuda]
//   device_bench rates [device=cuda]
//   device_bench speed DIR [device=cuda] [lengths=2048,8192] [decode=2048] [steps=32] [chunk=8192]
//   device_bench trace DIR [device=cuda] [length=8192] [steps=8] [out=FILE]

#include <cstdio>
#include <exception>
#include <span>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/device.hpp"

#include "device.hpp"
#include "made_up_model.hpp"
#include "settings.hpp"
#include "speed.hpp"

namespace anamnesis::bench {
namespace {

void print_rates(at::Device device) {
    const Rates rates = measure_rates(device);
    emit(Json::Object{{"what", "rates"},
                      {"matrix_tflops", rates.operations / 1e12},
                      {"memory_gb_s", rates.bytes / 1e9}});
}

void run(const std::string& verb, std::span<char*> words) {
    const auto count = [&](std::size_t from) { return static_cast<int>(words.size() - from); };
    if (verb == "rates") {
        const Settings settings({{"device", "cuda"}}, count(0), words.data());
        print_rates(runtime::parse_device(settings.text("device")));
        return;
    }
    if (words.empty()) {
        throw Error(ErrorKind::usage, "which folder?");
    }
    const std::string folder = words.front();
    char** const rest = words.data() + 1;
    if (verb == "make") {
        const Settings settings(
            {{"device", "cuda"}, {"shape", ""}, {"scale", "full"}}, count(1), rest);
        write_made_up_model(make_shape(settings.text("shape"), settings.text("scale")),
                            runtime::parse_device(settings.text("device")),
                            folder);
    } else if (verb == "speed") {
        const Settings settings({{"device", "cuda"},
                                 {"lengths", "2048,8192"},
                                 {"decode", "2048"},
                                 {"steps", "32"},
                                 {"chunk", "8192"}},
                                count(1),
                                rest);
        measure_speed(folder, runtime::parse_device(settings.text("device")), settings);
    } else if (verb == "trace") {
        const Settings settings(
            {{"device", "cuda"}, {"length", "8192"}, {"steps", "8"}, {"out", ""}}, count(1), rest);
        trace(folder, runtime::parse_device(settings.text("device")), settings);
    } else {
        throw Error(
            ErrorKind::usage,
            format("verb {} is not known, expected make, rates, speed or trace", in_quotes(verb)));
    }
}

}  // namespace
}  // namespace anamnesis::bench

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("device_bench make|rates|speed|trace …; see the first lines of the source\n",
                   stderr);
        return 2;
    }
    try {
        anamnesis::bench::run(argv[1], std::span(argv + 2, static_cast<std::size_t>(argc - 2)));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
