// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <optional>
#include <string>

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/adapter_inspection.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/doctor.hpp"
#include "anamnesis/restore/drift_report.hpp"
#include "anamnesis/restore/example.hpp"
#include "anamnesis/restore/inspection.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/result_text.hpp"
#include "anamnesis/restore/verify.hpp"
#include "anamnesis/restore/verify_job.hpp"

#include "job.hpp"
#include "jobs.hpp"
#include "request.hpp"
#include "source.hpp"
#include "to_python.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

namespace fs = std::filesystem;
using OptionalPath = std::optional<fs::path>;

nb::object inspect(const Source& source, bool lists_tensors, const Reading& reading) {
    const auto list = lists_tensors ? restore::TensorList::all : restore::TensorList::routing;
    const Json json = restore::make_inspection_json(source.recognised, list);
    reading.check(source.recognised.findings());
    return to_python(json);
}

nb::object inspect_adapter(const fs::path& path,
                           const OptionalPath& base,
                           const Reading& reading,
                           const nb::object& progress) {
    return run_json_job(progress, [&](const Watch&) {
        if (!base) {
            const checkpoint::Adapter adapter = checkpoint::open_adapter(path);
            const restore::AdapterInspection found = restore::inspect_adapter(adapter);
            reading.check(found.findings);
            return restore::to_json(found);
        }
        const checkpoint::AdapterPair pair(
            checkpoint::open_adapter(path),
            checkpoint::open_recognised(*base, reading.opening(), reading.recognising()),
            checkpoint::PrefixRule::loaders);
        const restore::AdapterInspection found = restore::inspect_adapter(pair.match);
        reading.check(found.findings);
        return restore::to_json(found);
    });
}

nb::object examine(const Source& first,
                   const Source* second,
                   const OptionalPath& html,
                   const Reading& reading,
                   unsigned threads,
                   const nb::object& progress) {
    return run_json_job(progress, [&](const Watch& watch) {
        const restore::Execution execution{.threads = count_threads(threads), .watch = watch};
        const restore::Diagnosis diagnosis =
            second == nullptr ? restore::examine(first.recognised, execution)
                              : restore::examine(first.recognised, second->recognised, execution);
        if (html) {
            report::write_page(*html, restore::make_diagnosis_document(diagnosis));
        }
        reading.check(diagnosis.findings);
        return restore::make_diagnosis_json(diagnosis);
    });
}

nb::object measure_drift(const Source& pre,
                         const Source& post,
                         bool include_sliding,
                         bool include_mtp,
                         const OptionalPath& html,
                         const Reading& reading,
                         unsigned threads,
                         const nb::object& progress) {
    return run_json_job(progress, [&](const Watch& watch) {
        restore::Selection selection;
        selection.has_sliding = include_sliding;
        selection.has_draft_heads = include_mtp;
        const restore::CheckpointDrift drift =
            restore::measure_drift(pre.recognised,
                                   post.recognised,
                                   selection,
                                   {.threads = count_threads(threads), .watch = watch});
        if (html) {
            report::write_page(
                *html, restore::make_drift_document(pre.recognised, post.recognised, drift));
        }
        reading.check(drift.findings);
        return restore::make_drift_json(pre.recognised, post.recognised, drift);
    });
}

nb::object verify(const fs::path& pre,
                  const fs::path& post,
                  const fs::path& repaired,
                  bool merges,
                  const std::optional<restore::Request>& claim,
                  const OptionalPath& moments,
                  bool as_peft,
                  bool weights_only,
                  const Reading& reading,
                  unsigned threads,
                  const nb::object& progress) {
    const restore::VerifyJob job{
        .pre = pre,
        .post = post,
        .merges = merges,
        .repaired = repaired,
        .opening = reading.opening(),
        .recognising = reading.recognising(),
        .request = claim.value_or(restore::Request{}),
        .rounding = as_peft ? restore::MergeRounding::peft : restore::MergeRounding::once,
        .prefers_receipt = !claim,
        .scope = weights_only ? restore::VerifyScope::weights : restore::VerifyScope::folder,
        .moments = moments.value_or(fs::path())};
    return run_json_job(progress, [&](const Watch& watch) {
        const auto [request, origin, result] =
            restore::run_verification(job, {.threads = count_threads(threads), .watch = watch});
        reading.check(result.findings);
        return restore::to_json(result, request, origin);
    });
}

nb::object undo(const fs::path& path, unsigned threads, const nb::object& progress) {
    return run_json_job(progress, [&](const Watch& watch) {
        return restore::make_undo_json(
            restore::undo_in_place(path, {.threads = count_threads(threads), .watch = watch}));
    });
}

}  // namespace

void declare_checkpoint_jobs(nb::module_& module) {
    module.def("inspect", &inspect, nb::arg("source"), nb::arg("tensors"), nb::arg("reading"));
    module.def(
        "is_adapter",
        [](const fs::path& path) { return checkpoint::is_adapter(path); },
        nb::arg("path"));
    module.def("inspect_adapter",
               &inspect_adapter,
               nb::arg("path"),
               nb::arg("base").none(),
               nb::arg("reading"),
               nb::arg("progress").none());
    module.def("examine",
               &examine,
               nb::arg("first"),
               nb::arg("second").none(),
               nb::arg("html").none(),
               nb::arg("reading"),
               nb::arg("threads"),
               nb::arg("progress").none());
    module.def("measure_drift",
               &measure_drift,
               nb::arg("pre"),
               nb::arg("post"),
               nb::arg("include_sliding"),
               nb::arg("include_mtp"),
               nb::arg("html").none(),
               nb::arg("reading"),
               nb::arg("threads"),
               nb::arg("progress").none());
    module.def("verify",
               &verify,
               nb::arg("pre"),
               nb::arg("post"),
               nb::arg("repaired"),
               nb::arg("merges"),
               nb::arg("claim").none(),
               nb::arg("moments").none(),
               nb::arg("as_peft"),
               nb::arg("weights_only"),
               nb::arg("reading"),
               nb::arg("threads"),
               nb::arg("progress").none());
    module.def("undo", &undo, nb::arg("path"), nb::arg("threads"), nb::arg("progress").none());
    module.def("write_example_pair",
               &restore::write_example_pair,
               nb::arg("folder"),
               nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace anamnesis::python
