// SPDX-License-Identifier: Apache-2.0
#include "provide_moments.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/sampled_digest.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "calibrate_plan.hpp"
#include "options/common.hpp"
#include "options/fit.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

fs::path make_name(const fs::path& folder, const restore::FitSettings& fit, double mu) {
    return folder / (fit.rounds == 0
                         ? std::string("moments.safetensors")
                         : format("moments-{}-rounds-mu-{}.safetensors", fit.rounds, mu));
}

Json describe_pair(const restore::Plan& plan) {
    return Json::Object{{"pre", eval::sampled_digest(plan.pre->checkpoint.path().string())},
                        {"post", eval::sampled_digest(plan.post->checkpoint.path().string())}};
}

/// Errors: `not_found`; `mismatch` for moments of another pair.
void read_all(restore::Plan& plan, const fs::path& folder) {
    const Json pair = describe_pair(plan);
    restore::FitSettings& fit = plan.request.fit;
    for (const double mu : fit.mus) {
        const fs::path path = make_name(folder, fit, mu);
        if (!fs::exists(path)) {
            throw Error(ErrorKind::not_found,
                        format("there are no moments {}; calibrate with --calibrate-recall, "
                               "--calibrate-chains and --moments {}",
                               in_quotes(path.string(), 1000),
                               folder.string()));
        }
        auto file = std::make_shared<const restore::MomentFile>(restore::MomentFile::open(path));
        if (!(file->description().at("pair") == pair)) {
            throw Error(ErrorKind::mismatch,
                        format("the moments {} were summed over another pair of checkpoints",
                               in_quotes(path.string(), 1000)));
        }
        fit.calibration = file->description().at("calibration");
        plan.moments.push_back(std::move(file));
    }
}

void write_all(const restore::Plan& plan, const fs::path& folder) {
    fs::create_directories(folder);
    const restore::FitSettings& fit = plan.request.fit;
    const Json description = Json::Object{
        {"version", 1}, {"pair", describe_pair(plan)}, {"calibration", fit.calibration}};
    for (std::size_t i = 0; i < fit.mus.size(); ++i) {
        const auto* set = dynamic_cast<const restore::MomentSet*>(plan.moments[i].get());
        if (set != nullptr && (i == 0 || fit.rounds > 0)) {
            restore::write_moments(make_name(folder, fit, fit.mus[i]), *set, description);
        }
    }
}

/// Errors: `usage` where the folder holds the moments of another calibration.
void refuse_other_moments(const restore::Plan& plan, const fs::path& folder) {
    const restore::FitSettings& fit = plan.request.fit;
    for (const double mu : fit.mus) {
        if (const fs::path path = make_name(folder, fit, mu); fs::exists(path)) {
            throw Error(ErrorKind::usage,
                        format("{} exists; use it by leaving the texts out, or name another "
                               "folder with --moments",
                               in_quotes(path.string(), 1000)));
        }
    }
}

}  // namespace

fs::path find_moments(const fs::path& path, const restore::FitSettings& fit) {
    return fs::is_directory(path) && !fit.mus.empty() ? make_name(path, fit, fit.mus.front())
                                                      : path;
}

void provide_moments(restore::Plan& plan,
                     const FitOptions& options,
                     const CommonOptions& common,
                     const Watch& watch) {
    if (!options.calibrates()) {
        read_all(plan, options.moments);
        return;
    }
    if (!options.moments.empty()) {
        refuse_other_moments(plan, options.moments);
    }
    calibrate_plan(plan, options, common, watch);
    if (!options.moments.empty()) {
        write_all(plan, options.moments);
    }
}

}  // namespace anamnesis::app
