// SPDX-License-Identifier: Apache-2.0
#include "output_side_files.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "clean_names.hpp"

namespace anamnesis::restore {
namespace {

constexpr std::string_view index_name = "model.safetensors.index.json";

std::string make_index(const Plan& plan, bool has_clean_names) {
    const checkpoint::Checkpoint& post = plan.post->checkpoint;
    Json index = Json::parse(io::read_text(post.folder() / index_name));
    const std::vector<std::string> clean =
        has_clean_names ? choose_clean_names(plan) : std::vector<std::string>();
    Json::Object members;
    for (std::size_t i = 0; i < post.tensors().size(); ++i) {
        const checkpoint::TensorEntry& tensor = post.tensors()[i];
        members.emplace_back(has_clean_names ? clean[i] : tensor.name,
                             post.files()[tensor.file].name());
    }
    std::ranges::sort(members, {}, &Json::Member::first);
    Json metadata = index.find("metadata") != nullptr && index.find("metadata")->is_object()
                        ? *index.find("metadata")
                        : Json::object();
    metadata.set("total_size", post.tensor_bytes());
    index.set("metadata", std::move(metadata));
    index.set("weight_map", Json(std::move(members)));
    return index.dump(2) + "\n";
}

/// Walks over JSON text that is known to be well-formed.
class MemberFinder {
public:
    MemberFinder(std::string_view text, std::string_view key) : text_(text), key_(key) {}

    /// The bytes of the first member `key` at depth 1, or at depth 2 within `text_config`, with one
    /// of the commas around it.
    std::optional<std::pair<std::size_t, std::size_t>> find() {
        int depth = 0;
        std::string inside;  ///< the key at depth 1
        for (std::size_t i = 0; i < text_.size();) {
            const char c = text_[i];
            if (c == '"') {
                const std::size_t end = end_of_string(i);
                const std::size_t colon = skip_space(end);
                const std::string_view word = text_.substr(i + 1, end - i - 2);
                const bool is_key = colon < text_.size() && text_[colon] == ':';
                if (is_key && depth == 1) {
                    inside = word;
                }
                const bool is_place = depth == 1 || (depth == 2 && inside == "text_config");
                if (is_key && is_place && word == key_) {
                    return with_comma(i, end_of_value(skip_space(colon + 1)));
                }
                i = end;
                continue;
            }
            depth += c == '{' || c == '[' ? 1 : 0;
            depth -= c == '}' || c == ']' ? 1 : 0;
            ++i;
        }
        return std::nullopt;
    }

private:
    std::size_t end_of_string(std::size_t i) const {
        for (++i; i < text_.size() && text_[i] != '"'; ++i) {
            i += text_[i] == '\\' ? 1U : 0U;
        }
        return std::min(i + 1, text_.size());
    }
    std::size_t skip_space(std::size_t i) const {
        while (i < text_.size() && std::isspace(static_cast<unsigned char>(text_[i])) != 0) {
            ++i;
        }
        return i;
    }
    std::size_t end_of_value(std::size_t i) const {
        int depth = 0;
        while (i < text_.size()) {
            const char c = text_[i];
            if (c == '"') {
                i = end_of_string(i);
                if (depth == 0) {
                    return i;
                }
                continue;
            }
            if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
                return i;
            }
            depth += c == '{' || c == '[' ? 1 : 0;
            depth -= c == '}' || c == ']' ? 1 : 0;
            ++i;
            if (depth == 0 && (c == '}' || c == ']')) {
                return i;
            }
        }
        return i;
    }
    std::pair<std::size_t, std::size_t> with_comma(std::size_t begin, std::size_t end) const {
        const std::size_t after = skip_space(end);
        if (after < text_.size() && text_[after] == ',') {
            return {begin, skip_space(after + 1)};
        }
        const std::size_t before = text_.find_last_not_of(" \t\r\n", begin - 1);
        if (before != std::string_view::npos && text_[before] == ',') {
            return {before, end};
        }
        return {begin, end};
    }

    std::string_view text_;
    std::string_view key_;
};

}  // namespace

std::string without_member(std::string_view json, std::string_view key) {
    std::string text(json);
    while (const auto range = MemberFinder(text, key).find()) {
        text.erase(range->first, range->second - range->first);
    }
    return text;
}

std::optional<std::string> make_other_text(const Plan& plan,
                                           const OutputOptions& options,
                                           const std::filesystem::path& relative) {
    const checkpoint::Checkpoint& post = plan.post->checkpoint;
    if (relative == index_name && post.is_indexed() &&
        (options.has_clean_names || !post.is_index_exact())) {
        return make_index(plan, options.has_clean_names);
    }
    const auto findings = plan.post->findings();
    const bool has_leftover = std::ranges::any_of(
        findings, [](const auto& finding) { return finding.code == "quantization_leftover"; });
    if (relative == "config.json" && options.has_fixed_config && has_leftover) {
        const std::string text = io::read_text(post.folder() / relative);
        return without_member(without_member(text, "quantization_config"), "compression_config");
    }
    return std::nullopt;
}

}  // namespace anamnesis::restore
