// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/moment_folder.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/repaired_rows.hpp"
#include "anamnesis/restore/request.hpp"

#include "job.hpp"
#include "jobs.hpp"
#include "request.hpp"
#include "source.hpp"
#include "to_python.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

/// Where the bytes of a tensor may be overwritten.
using WritableBytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// The new rows of a repair whose sources may lie in memory.
/// Owner: keeps both sources, into which the plan points.
class MemoryRepair {
public:
    MemoryRepair(std::shared_ptr<Source> pre, std::shared_ptr<Source> post, restore::Plan plan)
        : pre_(std::move(pre)), post_(std::move(post)), plan_(std::move(plan)) {}

    restore::Plan& plan() { return plan_; }
    const restore::Plan& plan() const { return plan_; }

    void run(const restore::Execution& execution) {
        rows_ = restore::repair_in_memory(plan_, execution);
    }

    /// Names of the tensors of post that change.
    std::vector<std::string> list_names() const {
        std::vector<std::string> names;
        for (const restore::RepairedRows& rows : rows_) {
            names.push_back(rows.change->post->name);
        }
        return names;
    }

    /// Puts the new rows into the bytes of a tensor with the shape and type of post's.
    /// Errors: `not_found` for a tensor that does not change; `usage` for another size.
    void write(const std::string& name, const WritableBytes& target) const {
        const auto found = std::ranges::find_if(
            rows_, [&](const auto& rows) { return rows.change->post->name == name; });
        if (found == rows_.end()) {
            throw Error(ErrorKind::not_found,
                        format("tensor {} does not change in this repair", in_quotes(name)));
        }
        const restore::TensorChange& change = *found->change;
        if (target.size() != change.post->bytes) {
            throw Error(ErrorKind::usage,
                        format("tensor {} has {} bytes, and {} are given to write into",
                               in_quotes(name),
                               change.post->bytes,
                               target.size()));
        }
        const auto bytes = std::as_writable_bytes(std::span(target.data(), target.size()));
        const std::uint64_t row_bytes = change.post->row_bytes();
        std::span<const std::byte> rows = found->bytes;
        for (const restore::RowSplice& splice : change.splices) {
            const std::size_t size = splice.rows.size() * row_bytes;
            std::ranges::copy(rows.first(size),
                              bytes.subspan(splice.rows.begin * row_bytes, size).begin());
            rows = rows.subspan(size);
        }
    }

private:
    std::shared_ptr<Source> pre_;
    std::shared_ptr<Source> post_;
    restore::Plan plan_;
    std::vector<restore::RepairedRows> rows_{};
};

std::unique_ptr<MemoryRepair> repair_in_memory(const std::shared_ptr<Source>& pre,
                                               const std::shared_ptr<Source>& post,
                                               const restore::Request& request,
                                               const std::optional<std::filesystem::path>& moments,
                                               const Reading& reading,
                                               unsigned threads,
                                               const nb::object& progress) {
    if (post->recognised.checkpoint.gguf()) {
        throw Error(ErrorKind::unsupported,
                    "tensors in memory are those of a state dict, and a GGUF file is none");
    }
    std::unique_ptr<MemoryRepair> repair;
    run_job(progress, [&](const Watch& watch) {
        const restore::Execution execution{.threads = count_threads(threads), .watch = watch};
        // Errors are told of sources that live on, so nothing of Python is freed on this thread.
        restore::Plan plan = restore::make_plan(pre->recognised, post->recognised, request);
        reading.check(plan.findings);
        repair = std::make_unique<MemoryRepair>(pre, post, std::move(plan));
        if (request.selection.method == restore::Method::fit) {
            if (!moments) {
                throw Error(ErrorKind::unsupported,
                            "method fit runs post over texts, which the command does ('anamnesis "
                            "restore --method fit … --moments DIR'); give its folder as moments");
            }
            restore::read_moment_folder(repair->plan(), *moments);
        }
        repair->run(execution);
    });
    return repair;
}

}  // namespace

void declare_memory_repair(nb::module_& module) {
    nb::class_<MemoryRepair>(module, "MemoryRepair", "The new rows of a repair in memory.")
        .def("list_names", &MemoryRepair::list_names)
        .def("write", &MemoryRepair::write, nb::arg("name"), nb::arg("target"))
        .def("findings", [](const MemoryRepair& repair) {
            return to_python(checkpoint::to_json(repair.plan().findings));
        });
    module.def("repair_in_memory",
               &repair_in_memory,
               nb::arg("pre"),
               nb::arg("post"),
               nb::arg("request"),
               nb::arg("moments").none(),
               nb::arg("reading"),
               nb::arg("threads"),
               nb::arg("progress").none());
}

}  // namespace anamnesis::python
