// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/request.hpp"

#include "adapter_selection.hpp"
#include "adapter_values.hpp"
#include "gguf_adapter_header.hpp"
#include "measure.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_name = "adapter_config.json";
constexpr const char* index_name = "adapter_model.safetensors.index.json";
constexpr std::uint64_t rows_block = 4U << 20U;

void refuse_target_in(const fs::path& source, const fs::path& target) {
    std::error_code ignored;
    const fs::path folder = fs::weakly_canonical(source, ignored);
    const fs::path resolved = fs::weakly_canonical(fs::absolute(target), ignored);
    const auto [mismatch, end] =
        std::mismatch(folder.begin(), folder.end(), resolved.begin(), resolved.end());
    if (mismatch == folder.end()) {
        throw Error(ErrorKind::usage,
                    format("output {} is, or lies in, the source {}; name a folder elsewhere",
                           in_quotes(target.string(), 1000),
                           in_quotes(source.string(), 1000)));
    }
}

void write_new_file(const fs::path& path, std::string_view text, bool is_synced) {
    io::File file = io::File::create(path);
    file.write_at(0, std::as_bytes(std::span(text)));
    if (is_synced) {
        file.sync();
    }
    file.close();
}

/// Paths of modules that left whole. One whose trained bias stays must stay wrapped too: PEFT looks
/// for the bias within its wrapper.
std::vector<std::string> list_removed_paths(const AdapterPlan& plan) {
    std::set<std::string> paths;
    for (const AdapterTensor& tensor : plan.tensors) {
        if (tensor.is_removed) {
            paths.insert(tensor.module->module->path);
        }
    }
    for (const AdapterTensor& tensor : plan.tensors) {
        if (tensor.saved != nullptr && !restores_all(tensor.edits, tensor.tensor->rows())) {
            const std::string& name = tensor.saved->saved->name;
            paths.erase(name.substr(0, name.rfind('.')));
        }
    }
    return {paths.begin(), paths.end()};
}

/// adapter_config.json with the removed modules among those that a loader leaves out.
std::string make_tidy_config(const AdapterPlan& plan) {
    Json config = Json::parse_python(io::read_text(plan.match->adapter->folder() / config_name));
    const Json* old = config.find("exclude_modules");
    if (old != nullptr && old->is_string()) {
        throw Error(ErrorKind::unsupported,
                    "exclude_modules of adapter_config.json is a regular expression, to which "
                    "--tidy adds no names; leave --tidy out");
    }
    Json excluded = old != nullptr && old->is_array() ? *old : Json::array();
    for (const std::string& path : list_removed_paths(plan)) {
        excluded.push_back(path);
    }
    config.set("exclude_modules", std::move(excluded));
    return config.dump(2) + "\n";
}

/// Writes one adapter folder.
class AdapterWriter {
public:
    AdapterWriter(const AdapterPlan& plan,
                  Request request,
                  const OutputOptions& options,
                  bool is_tidy,
                  const Execution& execution)
        : plan_(plan),
          request_(std::move(request)),
          options_(options),
          is_tidy_(is_tidy),
          execution_(execution) {}

    Result write(const fs::path& target) {
        const checkpoint::Adapter& adapter = *plan_.match->adapter;
        if (adapter.is_gguf()) {
            return write_gguf(target);
        }
        refuse_target_in(adapter.folder(), target);
        if (!plan_.match->base->checkpoint.is_single_file()) {
            refuse_target_in(plan_.match->base->checkpoint.folder(), target);
        }
        io::AtomicDirectory folder(target);
        const std::vector<std::string> names = write_files(folder.path());
        std::vector<std::string> notes = copy_side_files(folder.path());
        Result result{.path = target,
                      .receipt = make_receipt(names),
                      .bytes_written = bytes_written_,
                      .bytes_linked = 0,
                      .notes = std::move(notes)};
        write_new_file(
            folder.path() / receipt_name, result.receipt.dump(2) + "\n", options_.is_synced);
        execution_.check();
        folder.commit();
        return result;
    }

private:
    /// One file, and its receipt beside it.
    Result write_gguf(const fs::path& target) {
        if (target.extension() != ".gguf" || is_tidy_) {
            throw Error(ErrorKind::usage,
                        "a GGUF adapter is one file: give --out FILE.gguf, and no --tidy");
        }
        std::error_code ignored;
        if (fs::exists(fs::symlink_status(target, ignored))) {
            throw Error(ErrorKind::usage,
                        format("output {} exists already; name a file that does not exist, or "
                               "remove it first",
                               in_quotes(target.string(), 1000)));
        }
        std::vector<bool> stays;
        for (const AdapterTensor& tensor : plan_.tensors) {
            stays.push_back(!tensor.is_removed);
        }
        const GgufHeader header = make_gguf_header(*plan_.match->adapter->weights.gguf(), stays);
        io::AtomicFile output(target);
        write_container(
            output.file(), list_kept(0), header.bytes, header.offsets, header.file_bytes);
        Result result{.path = target,
                      .receipt = make_receipt({target.filename().string()}),
                      .bytes_written = bytes_written_,
                      .bytes_linked = 0,
                      .notes = {}};
        execution_.check();
        output.commit();
        io::write_text_atomically(target.string() + ".anamnesis.json",
                                  result.receipt.dump(2) + "\n");
        return result;
    }

    /// The tensors of a file of the adapter that stay.
    std::vector<const AdapterTensor*> list_kept(std::size_t file) const {
        std::vector<const AdapterTensor*> kept;
        for (const AdapterTensor& tensor : plan_.tensors) {
            if (!tensor.is_removed && tensor.tensor->file == file) {
                kept.push_back(&tensor);
            }
        }
        return kept;
    }

    /// Writes the files that something stays of, and their index where the adapter has one.
    std::vector<std::string> write_files(const fs::path& folder) {
        const checkpoint::Checkpoint& weights = plan_.match->adapter->weights;
        std::vector<std::string> names;
        Json::Object map;
        std::uint64_t bytes = 0;
        for (std::size_t i = 0; i < weights.files().size(); ++i) {
            const std::vector<const AdapterTensor*> kept = list_kept(i);
            if (kept.empty()) {
                continue;
            }
            const checkpoint::WeightFile& file = weights.files()[i];
            names.push_back(file.name());
            write_tensors(folder / file.name(), kept, file);
            for (const AdapterTensor* tensor : kept) {
                map.emplace_back(tensor->tensor->name, file.name());
                bytes += tensor->tensor->bytes;
            }
        }
        if (weights.is_indexed()) {
            const Json index = Json::Object{{"metadata", Json::Object{{"total_size", bytes}}},
                                            {"weight_map", Json(std::move(map))}};
            write_new_file(folder / index_name, index.dump(2) + "\n", options_.is_synced);
        }
        return names;
    }

    void write_tensors(const fs::path& path,
                       const std::vector<const AdapterTensor*>& kept,
                       const checkpoint::WeightFile& source) {
        std::vector<formats::TensorSpec> specs;
        for (const AdapterTensor* tensor : kept) {
            specs.push_back({.name = tensor->tensor->name,
                             .dtype = tensor->tensor->dtype,
                             .shape = tensor->tensor->shape});
        }
        formats::SafetensorsPrologue prologue =
            formats::make_safetensors_prologue(specs, source.metadata);
        for (std::uint64_t& offset : prologue.offsets) {
            offset += prologue.bytes.size();
        }
        const io::File file = io::File::create(path);
        write_container(file,
                        kept,
                        prologue.bytes,
                        prologue.offsets,
                        prologue.bytes.size() + prologue.data_bytes);
    }

    /// The directory, then the tensors that stay, each at its offset.
    void write_container(const io::File& file,
                         const std::vector<const AdapterTensor*>& kept,
                         std::string_view header,
                         const std::vector<std::uint64_t>& offsets,
                         std::uint64_t bytes) {
        file.resize(bytes);
        file.write_at(0, std::as_bytes(std::span(header)));
        for (std::size_t i = 0; i < kept.size(); ++i) {
            execution_.check();
            write_tensor(*kept[i], file, offsets[i]);
        }
        if (options_.is_synced) {
            file.sync();
        }
        bytes_written_ += bytes;
    }

    void write_tensor(const AdapterTensor& tensor, const io::File& file, std::uint64_t offset) {
        const std::uint64_t row_bytes = tensor.tensor->row_bytes();
        tensor.tensor->copy_to(file, offset, 0, tensor.tensor->bytes);
        for (const EditedRows& edited : tensor.edits) {
            // Filters work on whole heads and factors; other edits go row by row.
            const bool is_whole = edited.edit == RowEdit::filter || edited.edit == RowEdit::fit;
            const std::uint64_t most =
                is_whole ? edited.rows.size() : std::max<std::uint64_t>(1, rows_block / row_bytes);
            for (std::uint64_t row = edited.rows.begin; row < edited.rows.end; row += most) {
                EditedRows part = edited;
                part.rows = {.begin = row, .end = std::min(row + most, edited.rows.end)};
                file.write_at(offset + row * row_bytes,
                              make_edited_rows(plan_, request_, tensor, part));
            }
        }
        describe(tensor, file, offset);
    }

    void describe(const AdapterTensor& tensor, const io::File& file, std::uint64_t offset) {
        if (tensor.edits.empty()) {
            return;
        }
        Sha256 digest;
        std::vector<std::byte> bytes(std::min(tensor.tensor->bytes, rows_block));
        for (std::uint64_t at = 0; at < tensor.tensor->bytes; at += bytes.size()) {
            const auto part = std::span(bytes).first(
                std::min<std::uint64_t>(bytes.size(), tensor.tensor->bytes - at));
            file.read_at(offset + at, part);
            digest.update(part);
        }
        Json rows = Json::array();
        for (const EditedRows& edited : tensor.edits) {
            rows.push_back(Json::Array{edited.rows.begin, edited.rows.end, to_string(edited.edit)});
        }
        edited_.push_back(
            Json::Object{{"name", tensor.tensor->name},
                         {"rows", std::move(rows)},
                         {"sha256",
                          Json::Object{{"post", digest_tensor(*tensor.tensor, execution_)},
                                       {"repaired", digest.finish()}}}});
    }

    std::vector<std::string> copy_side_files(const fs::path& folder) {
        const fs::path& root = plan_.match->adapter->folder();
        std::set<std::string> weights{index_name};
        for (const checkpoint::WeightFile& file : plan_.match->adapter->weights.files()) {
            weights.insert(file.name());
        }
        const checkpoint::SideFiles side = checkpoint::find_side_files(root, std::move(weights));
        for (const checkpoint::SideFile& file : side.files) {
            const fs::path target = folder / file.relative;
            fs::create_directories(target.parent_path());
            if (is_tidy_ && file.relative == config_name) {
                write_new_file(target, make_tidy_config(plan_), options_.is_synced);
                continue;
            }
            const io::File from = io::File::open_for_reading(root / file.relative);
            io::File to = io::File::create(target);
            io::copy_range(from, 0, to, 0, from.size());
            if (options_.is_synced) {
                to.sync();
            }
            to.close();
            bytes_written_ += file.bytes;
        }
        return side.notes;
    }

    Json make_receipt(const std::vector<std::string>& weights) const {
        const checkpoint::Adapter& adapter = *plan_.match->adapter;
        Json removed = Json::array();
        for (const AdapterTensor& tensor : plan_.tensors) {
            if (tensor.is_removed) {
                removed.push_back(tensor.tensor->name);
            }
        }
        Json files = Json::array();
        for (const std::string& name : weights) {
            files.push_back(Json::Object{{"name", name}, {"made", "written"}});
        }
        std::vector<checkpoint::Finding> findings = plan_.findings;
        if (removed.as_array("removed").empty() && keeps_all_rows()) {
            findings.push_back(describe_unchanged(request_));
        }
        return Json::Object{{"anamnesis_receipt", receipt_version},
                            {"kind", "adapter"},
                            {"created", make_timestamp()},
                            {"request", to_json(request_)},
                            {"pre", describe_source(*plan_.match->base)},
                            {"post",
                             Json::Object{{"path", adapter.path.string()},
                                          {"base_name", adapter.config.base_name},
                                          {"peft_version", adapter.config.peft_version}}},
                            {"removed", std::move(removed)},
                            {"tensors", edited_},
                            {"files", std::move(files)},
                            {"findings", checkpoint::to_json(findings)}};
    }

    /// Every edited tensor has the bytes that it had.
    bool keeps_all_rows() const {
        return std::ranges::all_of(edited_.as_array("tensors"), [](const Json& tensor) {
            const Json& digests = tensor.at("sha256");
            return digests.at("post") == digests.at("repaired");
        });
    }

    const AdapterPlan& plan_;
    Request request_;
    const OutputOptions& options_;
    bool is_tidy_;
    const Execution& execution_;
    Json edited_ = Json::array();
    std::uint64_t bytes_written_ = 0;
};

}  // namespace

std::vector<Result> write_adapters(const AdapterPlan& plan,
                                   const std::vector<fs::path>& targets,
                                   const OutputOptions& options,
                                   bool is_tidy,
                                   const Execution& execution) {
    if (options.links_unchanged || options.has_model_card || options.has_clean_names ||
        options.has_fixed_config) {
        throw Error(ErrorKind::usage,
                    "--link, --model-card, --clean-names and --fix-config write checkpoints, and "
                    "--post is an adapter");
    }
    std::vector<Result> results;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        AdapterWriter writer(plan, request_of_output(plan.request, i), options, is_tidy, execution);
        results.push_back(writer.write(targets[i]));
    }
    return results;
}

}  // namespace anamnesis::restore
