// SPDX-License-Identifier: Apache-2.0
//
// From a file to the first token of an answer, once and from a cold process, in one JSON line:
//
//   first_token_bench MODEL [PROMPT] [THREADS=2]
//
// seconds counts from the opening of the file, as peers/first_token_llamacpp.py does; before_main
// is what the process took to reach its first line, mostly the loading of LibTorch.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "run_bench.hpp"

namespace {

using namespace anamnesis;

/// Seconds since the kernel started this process, to a hundredth.
double seconds_since_start() {
    std::ifstream file("/proc/self/stat");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    // The name is in brackets and may hold anything; the start is the 20th number after them.
    const std::vector<std::string> fields = split(line.substr(line.rfind(')') + 2), ' ');
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
           std::stod(fields.at(19)) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

class Stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

int measure(int argc, char** argv) {
    const double before_main = seconds_since_start();
    const std::string prompt = argc > 2 ? argv[2] : "a needle in a haystack";
    const Stopwatch stopwatch;
    const auto files = checkpoint::Checkpoint::open(argv[1]);
    const checkpoint::Model recognised = checkpoint::recognise(files);
    const double opened = stopwatch.seconds();
    const std::unique_ptr<runtime::HybridModel> model = runtime::HybridModel::load(
        files, recognised, {.threads = argc > 3 ? static_cast<unsigned>(std::stoul(argv[3])) : 2});
    const double loaded = stopwatch.seconds();
    const std::vector<language::TokenId> ids = model->encode_beginning(prompt);
    const double encoded = stopwatch.seconds();
    const std::unique_ptr<language::Sequence> sequence = model->start();
    model->prefill(*sequence, ids, {}, {});
    language::Sequence* const one = sequence.get();
    const auto answers = model->generate({&one, 1}, {.max_new_tokens = 1});
    const double seconds = stopwatch.seconds();
    std::puts(Json(Json::Object{{"what", "first token"},
                                {"prompt_tokens", ids.size()},
                                {"text", answers.front().text},
                                {"before_main", before_main},
                                {"opened", opened},
                                {"loaded", loaded},
                                {"encoded", encoded},
                                {"seconds", seconds}})
                  .dump()
                  .c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return run_bench(argc, argv, measure, "first_token_bench MODEL [PROMPT] [THREADS]");
}
