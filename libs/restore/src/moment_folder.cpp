// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/moment_folder.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/io/sampled_digest.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

fs::path make_path(const fs::path& folder, const FitSettings& fit, double mu) {
    return folder / (fit.rounds == 0
                         ? std::string("moments.safetensors")
                         : format("moments-{}-rounds-mu-{}.safetensors", fit.rounds, mu));
}

Json describe_pair(const Plan& plan) {
    const fs::path& post =
        plan.adapter != nullptr ? plan.adapter->adapter->path : plan.post->checkpoint.path();
    return Json::Object{{"pre", io::sampled_digest(plan.pre->checkpoint.path().string())},
                        {"post", io::sampled_digest(post.string())}};
}

/// What the weights of rounds were found for: other rows are repaired otherwise in between.
Json describe_rounds(const Request& request) {
    const Json whole = to_json(request);
    Json rounds = Json::object();
    for (const char* name :
         {"groups", "layers", "heads", "biases", "sliding", "mtp", "norms", "adapters"}) {
        if (const Json* value = whole.find(name)) {
            rounds.set(name, *value);
        }
    }
    rounds.set("keys", to_string(request.fit.keys));
    rounds.set("scaled_inputs", request.fit.scales_inputs);
    return rounds;
}

}  // namespace

fs::path find_moments(const fs::path& path, const FitSettings& fit) {
    return fs::is_directory(path) && !fit.mus.empty() ? make_path(path, fit, fit.mus.front())
                                                      : path;
}

void read_moment_folder(Plan& plan, const fs::path& folder) {
    const Json pair = describe_pair(plan);
    FitSettings& fit = plan.request.fit;
    for (const double mu : fit.mus) {
        const fs::path path = make_path(folder, fit, mu);
        if (!fs::exists(path)) {
            throw Error(ErrorKind::not_found,
                        format("there are no moments {}; calibrate with --calibrate-recall, "
                               "--calibrate-chains and --moments {}",
                               in_quotes(path.string(), 1000),
                               folder.string()));
        }
        auto file = std::make_shared<const MomentFile>(MomentFile::open(path));
        if (!(file->description().at("pair") == pair)) {
            throw Error(ErrorKind::mismatch,
                        format("the moments {} were summed over another pair of checkpoints",
                               in_quotes(path.string(), 1000)));
        }
        const Json* rounds = file->description().find("rounds_of");
        if (fit.rounds > 0 && (rounds == nullptr || !(*rounds == describe_rounds(plan.request)))) {
            throw Error(ErrorKind::mismatch,
                        format("the moments {} are of rounds that repaired other rows{}; give the "
                               "same --groups, --keys, --layers and --heads, or calibrate again "
                               "with another --moments",
                               in_quotes(path.string(), 1000),
                               rounds == nullptr ? "" : ": " + rounds->dump()));
        }
        fit.calibration = file->description().at("calibration");
        plan.moments.push_back(std::move(file));
    }
}

void refuse_used_moment_folder(const Plan& plan, const fs::path& folder) {
    if (fs::exists(folder / "config.json")) {
        throw Error(ErrorKind::usage,
                    format("{} is the folder of a checkpoint, and moments would lie among its "
                           "weights; name a folder of their own with --moments",
                           in_quotes(folder.string(), 1000)));
    }
    const FitSettings& fit = plan.request.fit;
    for (const double mu : fit.mus) {
        if (const fs::path path = make_path(folder, fit, mu); fs::exists(path)) {
            throw Error(ErrorKind::usage,
                        format("{} exists; use it by leaving the texts out, or name another "
                               "folder with --moments",
                               in_quotes(path.string(), 1000)));
        }
    }
}

void write_moment_folder(const Plan& plan, const fs::path& folder) {
    // A mu that was chosen meanwhile may have moments there.
    refuse_used_moment_folder(plan, folder);
    fs::create_directories(folder);
    const FitSettings& fit = plan.request.fit;
    Json description = Json::Object{
        {"version", 1}, {"pair", describe_pair(plan)}, {"calibration", fit.calibration}};
    if (fit.rounds > 0) {
        description.set("rounds_of", describe_rounds(plan.request));
    }
    for (std::size_t i = 0; i < fit.mus.size(); ++i) {
        if (i == 0 || fit.rounds > 0) {
            write_moments(make_path(folder, fit, fit.mus[i]), *plan.moments[i], description);
        }
    }
}

}  // namespace anamnesis::restore
