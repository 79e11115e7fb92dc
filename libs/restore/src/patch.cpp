// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"
#include "patch_rows.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

constexpr const char* metadata_key = checkpoint::patch_key;

Json to_json(const Shape& shape) {
    Json list = Json::array();
    for (const std::uint64_t size : shape) {
        list.push_back(size);
    }
    return list;
}

Json describe_change(const TensorChange& change,
                     const std::string& post_digest,
                     const std::string& row_digest) {
    Json rows = Json::array();
    for (const RowSplice& splice : change.splices) {
        rows.push_back(Json::Array{splice.rows.begin, splice.rows.end});
    }
    Json described = Json::Object{{"name", change.post->name},
                                  {"part", change.part},
                                  {"shape", to_json(change.post->shape)},
                                  {"layer", change.layer ? Json(change.layer->value) : Json()},
                                  {"rows", std::move(rows)},
                                  {"sha256", post_digest},
                                  {"rows_sha256", row_digest}};
    // The container of a patch knows no such types; it has the bytes.
    if (is_block_quantised(change.post->dtype)) {
        described.set("dtype", to_string(change.post->dtype));
    }
    return described;
}

formats::TensorSpec packed_rows(const TensorChange& change) {
    if (is_block_quantised(change.post->dtype)) {
        return {.name = change.post->name,
                .dtype = DType::u8,
                .shape = {change.changed_rows(), change.post->row_bytes()}};
    }
    Shape shape = change.post->shape;
    if (!shape.empty()) {
        shape.front() = change.changed_rows();
    }
    return {.name = change.post->name, .dtype = change.post->dtype, .shape = std::move(shape)};
}

/// The digests of the packed rows of all changes.
using RowDigests = std::vector<std::string>;

/// `index` is the output's among those of the plan.
Json describe_patch(const Plan& plan,
                    std::size_t index,
                    const std::vector<ChangeMeasure>& measures,
                    const RowDigests& rows) {
    Json description = Json::object();
    description.set("version", 1);
    description.set("request", restore::to_json(request_of_output(plan.request, index)));
    description.set("family", plan.post->model.family);
    Json list = Json::array();
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        list.push_back(describe_change(plan.changes[i], measures[i].post_digest, rows[i]));
    }
    description.set("tensors", std::move(list));
    return description;
}

formats::SafetensorsPrologue make_prologue(const std::vector<formats::TensorSpec>& tensors,
                                           const Json& description) {
    return formats::make_safetensors_prologue(
        tensors, {{"format", "pt"}, {metadata_key, description.dump()}});
}

/// The rows of each tensor, splice after splice.
RowTargets find_packed_targets(const Plan& plan,
                               const io::File& file,
                               const formats::SafetensorsPrologue& prologue) {
    RowTargets targets;
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        ChangeTarget target{.file = &file, .offsets = {}, .tensor_offset = 0};
        std::uint64_t offset = prologue.bytes.size() + prologue.offsets[i];
        for (const RowSplice& splice : plan.changes[i].splices) {
            target.offsets.push_back(offset);
            offset += splice.rows.size() * plan.changes[i].post->row_bytes();
        }
        targets.push_back(std::move(target));
    }
    return targets;
}

RowDigests digest_rows(const Plan& plan, const RowTargets& targets, const Execution& execution) {
    RowDigests digests(plan.changes.size());
    parallel_for(digests.size(), execution.threads, [&](std::size_t i) {
        const std::uint64_t size =
            plan.changes[i].changed_rows() * plan.changes[i].post->row_bytes();
        digests[i] = digest_range(*targets[i].file, targets[i].offsets.front(), size, execution);
    });
    return digests;
}

/// The digests of the rows of post that those of a patch take the place of.
RowDigests digest_replaced_rows(const Plan& plan, const Execution& execution) {
    constexpr std::uint64_t block_bytes = 1U << 20U;
    RowDigests digests(plan.changes.size());
    parallel_for(digests.size(), execution.threads, [&](std::size_t i) {
        const checkpoint::TensorEntry& post = *plan.changes[i].post;
        const std::uint64_t row_bytes = post.row_bytes();
        const std::uint64_t most = std::max<std::uint64_t>(1, block_bytes / row_bytes);
        std::vector<std::byte> bytes;
        Sha256 digest;
        for (const RowSplice& splice : plan.changes[i].splices) {
            for (std::uint64_t row = splice.rows.begin; row < splice.rows.end; row += most) {
                execution.check();
                bytes.resize(std::min(most, splice.rows.end - row) * row_bytes);
                post.read_at(row * row_bytes, bytes);
                digest.update(bytes);
            }
        }
        digests[i] = digest.finish();
    });
    return digests;
}

/// What may be wrong with the rows of a patch, as a receipt would tell it.
Json list_faults(const Plan& plan,
                 const RowTargets& targets,
                 std::vector<ChangeMeasure> measures,
                 const RowDigests& written,
                 const RowDigests& replaced,
                 const Execution& execution) {
    Jobs jobs;
    add_drift_jobs_after(plan, targets, measures, execution, jobs);
    run(jobs, execution);
    for (std::size_t i = 0; i < measures.size(); ++i) {
        measures[i].result_digest = written[i];
        measures[i].post_digest = replaced[i];
    }
    return checkpoint::to_json(find_result_faults(plan, measures));
}

}  // namespace

OutputCost cost_of_patch(const Plan& plan) {
    OutputCost cost;
    cost.bytes_written = plan.changed_bytes();
    cost.bytes_read = 3 * plan.changed_bytes();
    cost.peak_memory = 4U << 20U;
    for (const RoutingGroup& group : plan.groups) {
        const checkpoint::TensorEntry& key = *group.key.weight.post;
        const std::uint64_t columns = key.columns();
        const std::uint64_t outputs = plan.request.lambdas.size();
        cost.peak_memory = std::max(
            cost.peak_memory, (4 + outputs) * group.key.weight.rows * columns * sizeof(double));
    }
    return cost;
}

std::vector<Result> write_patches(const Plan& plan,
                                  const std::vector<fs::path>& targets,
                                  const Execution& execution) {
    std::vector<formats::TensorSpec> tensors;
    for (const TensorChange& change : plan.changes) {
        tensors.push_back(packed_rows(change));
    }
    std::vector<ChangeMeasure> measures;
    Jobs before;
    add_jobs_before(plan, measures, execution, before);
    execution.watch.progress().begin(
        "writing patch", plan.changed_bytes() * targets.size(), ProgressUnit::bytes);
    run(before, execution);
    refuse_equal_rows(plan, measures);

    // Until the rows are there; a digest is as long whatever they are.
    const RowDigests none(plan.changes.size(), std::string(64, '0'));
    std::vector<Result> results;
    std::vector<std::unique_ptr<io::AtomicFile>> outputs;
    std::vector<RowTargets> row_targets;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        if (fs::exists(targets[i])) {
            throw Error(ErrorKind::usage,
                        format("patch {} exists already; name another file or remove it first",
                               in_quotes(targets[i].string(), 1000)));
        }
        const auto prologue = make_prologue(tensors, describe_patch(plan, i, measures, none));
        outputs.push_back(std::make_unique<io::AtomicFile>(targets[i]));
        const io::File& file = outputs.back()->file();
        file.reserve(prologue.bytes.size() + prologue.data_bytes);
        file.write_at(0, std::as_bytes(std::span(prologue.bytes)));
        row_targets.push_back(find_packed_targets(plan, file, prologue));
        Result result;
        result.path = targets[i];
        result.bytes_written = prologue.bytes.size() + prologue.data_bytes;
        results.push_back(std::move(result));
    }
    Jobs jobs;
    add_row_jobs(plan, row_targets, execution, jobs);
    run(jobs, execution);
    const RowDigests replaced = digest_replaced_rows(plan, execution);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const io::File& file = outputs[i]->file();
        const RowDigests digests = digest_rows(plan, row_targets[i], execution);
        results[i].receipt = describe_patch(plan, i, measures, digests);
        const auto prologue = make_prologue(tensors, results[i].receipt);
        file.write_at(0, std::as_bytes(std::span(prologue.bytes)));
        execution.check();
        results[i].receipt.set(
            "findings", list_faults(plan, row_targets[i], measures, digests, replaced, execution));
        outputs[i]->commit();
    }
    execution.watch.progress().finish();
    return results;
}

Patch read_patch(const fs::path& path) {
    return in_context(
        [&] { return format("reading patch {}", path.string()); },
        [&] {
            Patch patch;
            patch.rows.checkpoint = checkpoint::Checkpoint::open(path);
            const auto& metadata = patch.rows.checkpoint.files().front().metadata;
            const auto entry = std::ranges::find(
                metadata, metadata_key, [](const auto& pair) { return pair.first; });
            if (entry == metadata.end()) {
                throw Error(ErrorKind::malformed,
                            format("{} is no patch: its metadata has no {}",
                                   in_quotes(path.string(), 1000),
                                   metadata_key));
            }
            patch.description = Json::parse(entry->second);
            if (patch.description.at("version").as_unsigned("version") != 1) {
                throw Error(ErrorKind::unsupported,
                            format("patch version {} is not known, 1 was expected",
                                   patch.description.at("version").dump()));
            }
            refuse_undescribed_rows(patch.rows.checkpoint, patch.description);
            patch.rows.checkpoint = with_block_types(patch.rows.checkpoint, patch.description);
            patch.request = request_from_json(patch.description.at("request"));
            patch.rows.model.family = patch.description.at("family").as_string("family");
            patch.rows.model.evidence = "patch";
            return patch;
        });
}

namespace {

/// Why the target's tensor is not the one that the patch was made for; nothing where it is.
std::optional<std::string> find_misfit(const TensorChange& change, const Json& entry) {
    const std::string& name = entry.at("name").as_string("name");
    if (change.post == nullptr) {
        return format("tensor {} is missing", in_quotes(name));
    }
    if (!(to_json(change.post->shape) == entry.at("shape")) ||
        change.post->dtype != change.pre->dtype) {
        return format("tensor {} is {} {}, the patch was made for {} {}",
                      in_quotes(name),
                      anamnesis::to_string(change.post->dtype),
                      anamnesis::to_string(change.post->shape),
                      anamnesis::to_string(change.pre->dtype),
                      entry.at("shape").dump());
    }
    return std::nullopt;
}

/// Where the packed rows of the patch go.
/// Errors: `malformed` for ranges out of order, outside the tensor or of another count of rows.
std::vector<RowSplice> read_splices(const TensorChange& change, const Json& entry) {
    const std::string& name = change.post->name;
    std::vector<RowSplice> splices;
    std::uint64_t packed = 0;
    std::uint64_t previous_end = 0;
    for (const Json& rows : entry.at("rows").as_array("rows")) {
        const auto& pair = rows.as_array("rows");
        if (pair.size() != 2) {
            throw Error(ErrorKind::malformed, "a row range of the patch is no pair");
        }
        const checkpoint::RowRange range{pair[0].as_unsigned("rows"), pair[1].as_unsigned("rows")};
        if (range.begin < previous_end || range.begin >= range.end ||
            range.end > change.post->rows()) {
            throw Error(ErrorKind::malformed,
                        format("rows {}..{} of the patch for tensor {} are out of order or "
                               "outside its {} rows",
                               range.begin,
                               range.end,
                               in_quotes(name),
                               change.post->rows()));
        }
        splices.push_back({.rows = range, .pre_row = packed});
        packed += range.size();
        previous_end = range.end;
    }
    if (packed != change.pre->rows() || change.pre->row_bytes() != change.post->row_bytes() ||
        change.post->row_bytes() == 0) {
        throw Error(ErrorKind::malformed,
                    format("the patch holds {} rows for tensor {} and maps {}",
                           change.pre->rows(),
                           in_quotes(name),
                           packed));
    }
    return splices;
}

}  // namespace

Plan plan_of_patch(const Patch& patch,
                   const RecognisedCheckpoint& target,
                   const Execution& execution) {
    Plan plan;
    plan.pre = &patch.rows;
    plan.post = &target;
    plan.request = patch.request;
    append_findings(plan.findings, target.findings(), "post");
    std::vector<std::string> problems;
    for (const Json& entry : patch.description.at("tensors").as_array("tensors")) {
        execution.check();
        const std::string& name = entry.at("name").as_string("name");
        TensorChange change;
        change.post = target.checkpoint.find(name);
        change.pre = patch.rows.checkpoint.find(name);
        change.part = entry.at("part").as_string("part");
        if (const Json& layer = entry.at("layer"); !layer.is_null()) {
            change.layer = LayerIndex{static_cast<std::uint32_t>(layer.as_unsigned("layer"))};
        }
        if (change.pre == nullptr) {
            throw Error(ErrorKind::malformed,
                        format("the patch maps tensor {} and does not hold it", in_quotes(name)));
        }
        if (auto misfit = find_misfit(change, entry)) {
            problems.push_back(*std::move(misfit));
            continue;
        }
        change.splices = read_splices(change, entry);
        // Patches of earlier versions do not tell it.
        if (const Json* digest = entry.find("rows_sha256");
            digest != nullptr &&
            digest_tensor(*change.pre, execution) != digest->as_string("rows_sha256")) {
            throw Error(ErrorKind::malformed,
                        format("the rows of tensor {} in the patch have another SHA-256 than it "
                               "states: the file is damaged, get it again",
                               in_quotes(name)));
        }
        if (digest_tensor(*change.post, execution) != entry.at("sha256").as_string("sha256")) {
            problems.push_back(format("tensor {} has another SHA-256", in_quotes(name)));
            continue;
        }
        plan.changes.push_back(std::move(change));
    }
    if (!problems.empty()) {
        throw Error(ErrorKind::mismatch,
                    format("{} is not the checkpoint that the patch was made for: {}",
                           in_quotes(target.checkpoint.path().string(), 1000),
                           join(problems, "; ")));
    }
    if (plan.changes.empty()) {
        throw Error(ErrorKind::malformed, "the patch holds no tensor");
    }
    std::ranges::sort(plan.changes, {}, [](const TensorChange& change) {
        return std::pair(change.post->file, change.post->offset);
    });
    return plan;
}

}  // namespace anamnesis::restore
