// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/merged_view.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/plain_tensor.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/merge.hpp"

#include "merge_plan.hpp"
#include "merge_rows.hpp"
#include "merged_rows.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Adapter;
using checkpoint::AdapterPair;
using checkpoint::RecognisedCheckpoint;
using checkpoint::RowRange;
using checkpoint::TensorEntry;

/// A tensor of the base with what the adapter makes of it.
class MergedValues final : public checkpoint::ComputedTensor {
public:
    MergedValues(std::shared_ptr<const AdapterPair> pair, const MergedTensor& merged)
        : pair_(std::move(pair)), rows_(merged, MergeRounding::once) {}

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        const std::uint64_t row_bytes = rows_.row_bytes();
        const std::uint64_t at_once = std::max<std::uint64_t>(1, block_bytes / row_bytes);
        std::vector<std::byte> block;
        MergeScratch scratch;
        while (!target.empty()) {
            const std::uint64_t row = begin / row_bytes;
            const std::uint64_t skipped = begin % row_bytes;
            const std::uint64_t count =
                std::min(at_once, (skipped + target.size() + row_bytes - 1) / row_bytes);
            block.resize(count * row_bytes);
            rows_.make({.begin = row, .end = row + count}, 0.0, block, scratch);
            const auto made = std::span(block).subspan(
                skipped, std::min<std::uint64_t>(block.size() - skipped, target.size()));
            std::memcpy(target.data(), made.data(), made.size());
            target = target.subspan(made.size());
            begin += made.size();
        }
    }

private:
    static constexpr std::uint64_t block_bytes = 1U << 18U;

    std::shared_ptr<const AdapterPair> pair_;  ///< which the rows point into
    MergedRows rows_;
};

/// The base as the names and rows of the adapter ask for it.
/// Errors: `unsupported` for a GGUF adapter on another base.
RecognisedCheckpoint make_base(const Adapter& adapter, RecognisedCheckpoint base) {
    if (!adapter.is_gguf()) {
        return checkpoint::view_for_adapter(adapter, std::move(base));
    }
    if (!base.checkpoint.gguf()) {
        throw Error(ErrorKind::unsupported,
                    format("adapter {} is a GGUF file, whose rows are in llama.cpp's order: give "
                           "its base as a GGUF file too, or the adapter of PEFT",
                           in_quotes(adapter.path.string(), 1000)));
    }
    std::vector<TensorEntry> tensors = base.checkpoint.tensors();
    for (TensorEntry& tensor : tensors) {
        const bool is_changed =
            std::ranges::any_of(adapter.modules, [&](const checkpoint::AdapterModule& module) {
                return tensor.name == module.path + ".weight";
            });
        tensor = is_changed ? checkpoint::make_plain(tensor) : tensor;
    }
    base.checkpoint = base.checkpoint.with_tensors(std::move(tensors), base.checkpoint.gguf());
    return base;
}

/// Errors: those of `view_with_adapter`.
void refuse_unfit_to_run(const checkpoint::AdapterMatch& match) {
    refuse_saved_head_of_tied_base(match);
    checkpoint::refuse_unfit(match, checkpoint::AdapterUse::run, /*takes_residual_base=*/false);
    if (!match.others.empty()) {
        throw Error(ErrorKind::mismatch,
                    format("tensor {} of the adapter cannot be added to anything of the base {}; "
                           "give the adapter of PEFT",
                           in_quotes(match.others.front()->name),
                           in_quotes(match.base->checkpoint.path().string(), 1000)));
    }
    if (const auto tied = find_tied_embedding(match)) {
        throw Error(ErrorKind::mismatch,
                    format("{}; to run it so, merge it first (restore --pre BASE --adapter ADAPTER "
                           "--method lerp --alpha 0 --out MERGED)",
                           tied->sentence));
    }
}

}  // namespace

RecognisedCheckpoint view_with_adapter(Adapter adapter, RecognisedCheckpoint base) {
    RecognisedCheckpoint own = make_base(adapter, std::move(base));
    const auto pair = std::make_shared<const AdapterPair>(
        std::move(adapter), std::move(own), checkpoint::PrefixRule::loaders);
    refuse_unfit_to_run(pair->match);
    // Whoever reads a model reads its rows side by side.
    linalg::set_blas_threads(1);
    std::map<const TensorEntry*, std::shared_ptr<const MergedValues>> changed;
    for (const MergedTensor& merged : list_merged_tensors(pair->match)) {
        if (!changed.emplace(merged.base, std::make_shared<MergedValues>(pair, merged)).second) {
            throw Error(ErrorKind::mismatch,
                        format("two tensors of the adapter change {} of the base; merge it with "
                               "PEFT and run the merged checkpoint",
                               in_quotes(merged.base->name)));
        }
    }
    std::vector<TensorEntry> tensors;
    for (const TensorEntry& tensor : pair->base.checkpoint.tensors()) {
        TensorEntry& entry = tensors.emplace_back(tensor);
        if (const auto found = changed.find(&tensor); found != changed.end()) {
            entry.computed = found->second;
            entry.packed = nullptr;
        }
    }
    const checkpoint::Checkpoint& files = pair->base.checkpoint;
    return {.checkpoint = files.with_tensors(std::move(tensors), files.gguf()),
            .model = pair->base.model};
}

}  // namespace anamnesis::restore
