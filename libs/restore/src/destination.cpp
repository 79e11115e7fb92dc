// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/repair.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

/// The options of a new folder that are given; empty: none.
std::string_view name_copy_options(const OutputOptions& output) {
    if (output.links_unchanged || output.has_model_card) {
        return "--link and --model-card belong";
    }
    if (output.has_clean_names || output.has_fixed_config || output.has_stamp) {
        return "--clean-names, --fix-config and --stamp belong";
    }
    return output.is_synced ? "" : "--no-sync belongs";
}

}  // namespace

void check_destination(const Request& request, const Destination& destination) {
    using Kind = Destination::Kind;
    if (count_outputs(request) > 1) {
        if (destination.kind == Kind::in_place) {
            throw Error(ErrorKind::usage,
                        "--in-place takes one strength; several need --out or --patch");
        }
        if (destination.kind == Kind::copy && destination.path.extension() == ".safetensors") {
            throw Error(ErrorKind::usage, "several strengths need a folder as --out, or --patch");
        }
    }
    if (destination.kind == Kind::patch && destination.path.extension() != ".safetensors") {
        throw Error(
            ErrorKind::usage,
            format("a patch is a .safetensors file, and 'apply' reads it by that name: give "
                   "--patch {}.safetensors",
                   destination.path.string()));
    }
    const std::string_view options = name_copy_options(destination.output);
    if (destination.kind != Kind::copy && !options.empty()) {
        throw Error(ErrorKind::usage, format("{} to --out", options));
    }
}

}  // namespace anamnesis::restore
