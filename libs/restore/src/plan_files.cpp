// SPDX-License-Identifier: Apache-2.0
#include "plan_files.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

std::vector<std::vector<FileRange>> find_kept_ranges(const Plan& plan,
                                                     const std::vector<RenamedFile>& renamed) {
    const auto& files = plan.post->checkpoint.files();
    std::vector<std::vector<FileRange>> replaced(files.size());
    for (const TensorChange& change : plan.changes) {
        for (const RowSplice& splice : change.splices) {
            const std::uint64_t row_bytes = change.post->row_bytes();
            replaced[change.post->file].emplace_back(
                change.post->offset + splice.rows.begin * row_bytes,
                change.post->offset + splice.rows.end * row_bytes);
        }
    }
    std::vector<std::vector<FileRange>> kept(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
        std::ranges::sort(replaced[i]);
        const bool has_new_header = i < renamed.size() && !renamed[i].header.empty();
        std::uint64_t begin = has_new_header ? files[i].data_begin : 0;
        for (const auto& [from, to] : replaced[i]) {
            if (begin < from) {
                kept[i].emplace_back(begin, from);
            }
            begin = to;
        }
        if (begin < files[i].bytes) {
            kept[i].emplace_back(begin, files[i].bytes);
        }
    }
    return kept;
}

std::set<std::uint32_t> find_changed_files(const Plan& plan) {
    std::set<std::uint32_t> files;
    for (const TensorChange& change : plan.changes) {
        files.insert(change.post->file);
    }
    return files;
}

}  // namespace anamnesis::restore
