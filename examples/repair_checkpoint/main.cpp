// SPDX-License-Identifier: Apache-2.0
// repair_checkpoint PRE POST OUT: POST with W_Q and W_K of its softmax layers taken from PRE.
#include <cstdio>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

namespace {

using namespace anamnesis;

void repair(const char* pre_path, const char* post_path, const char* out) {
    // Reads headers and config.json; no weight is touched.
    const auto pre = checkpoint::open_recognised(pre_path);
    const auto post = checkpoint::open_recognised(post_path);

    // A plan is data: which rows of which tensors change. The default request is QK-Restore.
    const restore::Plan plan = restore::make_plan(pre, post, restore::Request{});
    for (const checkpoint::Finding& finding : plan.findings) {
        std::fprintf(stderr, "%s\n", describe(finding).c_str());
    }
    for (const restore::TensorChange& change : plan.changes) {
        std::printf("%s: %llu rows\n",
                    change.post->name.c_str(),
                    static_cast<unsigned long long>(change.changed_rows()));
    }

    // One folder, since QK-Restore has no lambda. It appears when it is whole.
    const auto results = restore::write_folders(plan, {out}, {}, {.threads = 2});
    std::printf("%s: %llu bytes written\n",
                results.front().path.c_str(),
                static_cast<unsigned long long>(results.front().bytes_written));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: repair_checkpoint PRE POST OUT\n");
        return 2;
    }
    try {
        repair(argv[1], argv[2], argv[3]);
    } catch (const Error& error) {
        std::fprintf(stderr, "repair_checkpoint: %s\n", error.what());
        return to_exit_code(error.kind());
    }
    return 0;
}
