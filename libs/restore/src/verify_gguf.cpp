// SPDX-License-Identifier: Apache-2.0
#include "verify_gguf.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {
namespace {

std::string read_bytes(const io::File& file, std::uint64_t offset, std::uint64_t size) {
    std::string bytes(size, '\0');
    file.read_at(offset, std::as_writable_bytes(std::span(bytes)));
    return bytes;
}

/// Keys that the repaired file has and post has not must be ours, all others the same in the same
/// order.
void compare_keys(const formats::GgufFile& post,
                  const formats::GgufFile& repaired,
                  const std::string& name,
                  Verification& result) {
    std::vector<std::string> added;
    auto expected = post.metadata.keys().begin();
    for (const formats::GgufKey& key : repaired.metadata.keys()) {
        const bool is_ours = key.name.starts_with("anamnesis.") && !post.metadata.has(key.name);
        if (is_ours) {
            added.push_back(key.name);
            continue;
        }
        const bool is_same = expected != post.metadata.keys().end() && expected->name == key.name &&
                             expected->type == key.type && expected->element == key.element &&
                             expected->bytes == key.bytes &&
                             read_bytes(*post.file, expected->offset, expected->bytes) ==
                                 read_bytes(*repaired.file, key.offset, key.bytes);
        if (!is_same) {
            result.deviations.push_back(
                format("{}: key {} is not post's", in_quotes(name), in_quotes(key.name)));
            return;
        }
        ++expected;
    }
    if (expected != post.metadata.keys().end()) {
        result.deviations.push_back(
            format("{}: key {} of post is missing", in_quotes(name), in_quotes(expected->name)));
    }
    if (!added.empty()) {
        result.notes.push_back(format(
            "{}: the metadata has {} beside post's keys", in_quotes(name), join(added, ", ")));
    }
}

}  // namespace

void quantise_row(const StoredRow& pre,
                  const checkpoint::TensorEntry& post,
                  std::uint64_t index,
                  const std::vector<float>& importance,
                  std::span<std::byte> bytes) {
    std::vector<double> values(post.columns());
    widen(pre.dtype, pre.bytes, values);
    std::vector<float> floats(values.size());
    std::ranges::transform(
        values, floats.begin(), [](double value) { return static_cast<float>(value); });
    const std::size_t width = post.shape.back();
    const std::size_t lines = floats.size() / width;
    for (std::size_t line = 0; line < lines; ++line) {
        const std::size_t matrix = importance.size() > width ? index + line / lines : 0;
        quantise(post.dtype,
                 std::span(floats).subspan(line * width, width),
                 bytes.subspan(line * (bytes.size() / lines), bytes.size() / lines),
                 importance.empty() ? std::span<const float>()
                                    : std::span(importance).subspan(matrix * width, width));
    }
}

void compare_gguf_headers(const checkpoint::Checkpoint& post,
                          const checkpoint::Checkpoint& repaired,
                          Verification& result) {
    if (!post.gguf() || !repaired.gguf()) {
        return;
    }
    if (post.files().size() != repaired.files().size()) {
        result.deviations.push_back(format("post has {} GGUF files, the repaired checkpoint {}",
                                           post.files().size(),
                                           repaired.files().size()));
        return;
    }
    for (std::size_t i = 0; i < post.files().size(); ++i) {
        const checkpoint::WeightFile& before = post.files()[i];
        const checkpoint::WeightFile& now = repaired.files()[i];
        if (before.data_begin == now.data_begin && before.bytes == now.bytes &&
            read_bytes(*before.file, 0, before.data_begin) ==
                read_bytes(*now.file, 0, now.data_begin)) {
            continue;
        }
        compare_keys(
            formats::open_gguf(before.path()), formats::open_gguf(now.path()), now.name(), result);
    }
}

}  // namespace anamnesis::restore
