// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/repair.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/moment_folder.hpp"
#include "anamnesis/restore/open_pair.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/result_text.hpp"

#include "job.hpp"
#include "jobs.hpp"
#include "request.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Where a repair goes, how it is written, and what beside a request decides it.
struct Output {
    restore::Destination destination{};
    bool is_dry_run = false;
    bool merges = false;  ///< post is an adapter, to be merged into pre
    restore::MergeRounding rounding = restore::MergeRounding::once;
    bool is_tidy = false;
    std::optional<fs::path> moments{};
};

Output make_output(const std::string& kind,
                   const fs::path& path,
                   bool dry_run,
                   bool merges,
                   bool as_peft,
                   bool tidy,
                   std::optional<fs::path> moments) {
    using Kind = restore::Destination::Kind;
    return {.destination = {.kind = kind == "in_place" ? Kind::in_place
                                    : kind == "patch"  ? Kind::patch
                                                       : Kind::copy,
                            .path = path},
            .is_dry_run = dry_run,
            .merges = merges,
            .rounding = as_peft ? restore::MergeRounding::peft : restore::MergeRounding::once,
            .is_tidy = tidy,
            .moments = std::move(moments)};
}

void set_folder(Output& output,
                bool link,
                bool model_card,
                bool sync,
                bool clean_names,
                bool stamp,
                bool fix_config) {
    output.destination.output = {.links_unchanged = link,
                                 .has_model_card = model_card,
                                 .is_synced = sync,
                                 .has_clean_names = clean_names,
                                 .has_stamp = stamp,
                                 .has_fixed_config = fix_config};
}

/// One call of `restore`.
class Repair {
public:
    Repair(const restore::Request& request,
           const Output& output,
           const Reading& reading,
           const restore::Execution& execution)
        : request_(request), output_(output), reading_(reading), execution_(execution) {}

    Json run(const fs::path& pre, const fs::path& post) const {
        restore::check_destination(request_, output_.destination);
        if (!output_.merges && !checkpoint::is_adapter(post)) {
            const restore::CheckpointPair pair =
                restore::open_pair(pre, post, reading_.opening(), reading_.recognising());
            return carry_out(restore::make_plan(pair.pre, pair.post, request_));
        }
        const checkpoint::AdapterPair pair(
            checkpoint::open_adapter(post),
            checkpoint::open_recognised(pre, reading_.opening(), reading_.recognising()),
            request_.allowed.contains(restore::Allowance::prefix)
                ? checkpoint::PrefixRule::any
                : checkpoint::PrefixRule::loaders);
        if (output_.merges) {
            return carry_out(make_merge_plan(pair.match, request_, output_.rounding));
        }
        return repair_adapter(restore::make_adapter_plan(pair.match, request_));
    }

private:
    Json carry_out(restore::Plan plan) const {
        reading_.check(plan.findings);
        if (output_.is_dry_run) {
            return restore::to_json(plan, restore::estimate_costs(plan, output_.destination));
        }
        if (request_.selection.method == restore::Method::fit) {
            if (!output_.moments) {
                throw Error(ErrorKind::unsupported,
                            "method fit runs post over texts, which the command does ('anamnesis "
                            "restore --method fit … --moments DIR'); give its folder as moments");
            }
            restore::read_moment_folder(plan, *output_.moments);
        }
        execution_.watch.log(restore::describe_plan(plan));
        return describe(restore::repair(plan, output_.destination, execution_), plan.findings);
    }

    Json repair_adapter(const restore::AdapterPlan& plan) const {
        if (output_.destination.kind != restore::Destination::Kind::copy) {
            throw Error(ErrorKind::usage,
                        "a repaired adapter is a new folder: give out, not in_place or patch");
        }
        reading_.check(plan.findings);
        if (output_.is_dry_run) {
            return restore::to_json(plan);
        }
        return describe(
            restore::write_adapters(plan,
                                    restore::list_targets(output_.destination.path, plan.request),
                                    output_.destination.output,
                                    output_.is_tidy,
                                    execution_),
            plan.findings);
    }

    Json describe(const std::vector<restore::Result>& results,
                  const std::vector<checkpoint::Finding>& findings) const {
        for (const restore::Result& result : results) {
            for (const std::string& note : result.notes) {
                execution_.watch.log(note);
            }
        }
        if (reading_.is_strict) {
            restore::refuse_result_warnings(results);
        }
        const std::chrono::duration<double> time = Clock::now() - start_;
        return restore::to_json(results, findings, time.count());
    }

    const restore::Request& request_;
    const Output& output_;
    const Reading& reading_;
    const restore::Execution& execution_;
    Clock::time_point start_ = Clock::now();
};

nb::object restore_files(const fs::path& pre,
                         const fs::path& post,
                         const restore::Request& request,
                         const Output& output,
                         const Reading& reading,
                         unsigned threads,
                         const nb::object& progress) {
    return run_json_job(progress, [&](const Watch& watch) {
        const restore::Execution execution{.threads = count_threads(threads), .watch = watch};
        return Repair(request, output, reading, execution).run(pre, post);
    });
}

}  // namespace

void declare_repair(nb::module_& module) {
    nb::class_<Output>(module, "Output", "Where a repair goes.")
        .def("set_folder",
             &set_folder,
             nb::arg("link"),
             nb::arg("model_card"),
             nb::arg("sync"),
             nb::arg("clean_names"),
             nb::arg("stamp"),
             nb::arg("fix_config"));
    module.def("make_output",
               &make_output,
               nb::arg("kind"),
               nb::arg("path"),
               nb::arg("dry_run"),
               nb::arg("merges"),
               nb::arg("as_peft"),
               nb::arg("tidy"),
               nb::arg("moments").none());
    module.def("restore",
               &restore_files,
               nb::arg("pre"),
               nb::arg("post"),
               nb::arg("request"),
               nb::arg("output"),
               nb::arg("reading"),
               nb::arg("threads"),
               nb::arg("progress").none());
}

}  // namespace anamnesis::python
