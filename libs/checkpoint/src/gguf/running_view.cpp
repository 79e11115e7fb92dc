// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "gguf/running_names.hpp"
#include "gguf/sizes.hpp"
#include "gguf/stored_values.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Architectures whose files hold what the family computes with, but for names, the order of rows
/// and columns, and what `StoredForm` says.
constexpr std::array<std::string_view, 21> running{
    "deepseek2",   "falcon-h1", "gemma",   "gemma3", "gpt-oss",    "granitehybrid",  "jamba",
    "kimi-linear", "lfm2",      "lfm2moe", "llama",  "nemotron_h", "nemotron_h_moe", "phi3",
    "qwen2",       "qwen2moe",  "qwen3",   "qwen35", "qwen35moe",  "qwen3moe",       "qwen3next"};

/// Chooses for each tensor that a blueprint plans what a file has of it.
class ViewMaker {
public:
    ViewMaker(const Checkpoint& file,
              const Blueprint& blueprint,
              const GgufArchitecture& architecture)
        : file_(file), blueprint_(blueprint), architecture_(architecture) {}

    std::vector<TensorEntry> make() const {
        std::vector<TensorEntry> tensors;
        std::set<const TensorEntry*> read;
        for (const PlannedTensor& planned : blueprint_.tensors) {
            StoredTensor stored =
                find_stored(file_, blueprint_, planned, architecture_.adds_one_to_gains);
            if (stored.parts.empty()) {
                stored = find_fused(planned);
            }
            for (const StoredPart& part : stored.parts) {
                read.insert({part.tensor, part.partner});
            }
            // Experts one by one are what the file's stacks are seen as.
            if (stored.parts.empty() || planned.storage == Storage::stacked) {
                continue;
            }
            tensors.push_back(make_entry(planned, stored));
        }
        refuse_unread(read);
        return tensors;
    }

private:
    /// A model without a tensor that its file has is another model. Frequencies of rotations are
    /// read from the metadata, and draft heads are left out.
    void refuse_unread(const std::set<const TensorEntry*>& read) const {
        std::vector<std::string> names;
        for (const TensorEntry& tensor : file_.tensors()) {
            if (!read.contains(&tensor) && !tensor.name.starts_with("rope_") &&
                !is_of_draft_head(tensor.name)) {
                names.push_back(in_quotes(tensor.name));
            }
        }
        if (names.empty()) {
            return;
        }
        const std::size_t count = names.size();
        names.resize(std::min<std::size_t>(count, 3));
        throw Error(ErrorKind::unsupported,
                    format("{} tensors of the file have no place in a model of {} blocks that its "
                           "metadata describe ({}{}); it does not run without them",
                           count,
                           blueprint_.layers.size(),
                           join(names, ", "),
                           count > names.size() ? ", …" : ""));
    }

    /// "blk.N." after the model's own blocks, where the file says that it has draft heads.
    bool is_of_draft_head(std::string_view name) const {
        const GgufKeys keys(*file_.gguf());
        std::uint32_t block = 0;
        if (keys.find_count("nextn_predict_layers").value_or(0) == 0 || !name.starts_with("blk.")) {
            return false;
        }
        const std::string_view digits = name.substr(4);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), block);
        return error == std::errc{} && block >= blueprint_.layers.size();
    }

    TensorEntry make_entry(const PlannedTensor& planned, const StoredTensor& stored) const {
        std::string name = (planned.is_in_body ? blueprint_.prefix : std::string()) + planned.name;
        const Shape shape = complete_shape(planned.shape, stored);
        const bool is_matrix = planned.precision == Precision::matrix;
        return is_matrix ? make_matrix(stored, std::move(name), shape, find_head_rows(planned))
                         : make_vector(stored, std::move(name), shape, find_head_rows(planned));
    }

    /// Sizes that the config does not state are those of the file.
    static Shape complete_shape(Shape shape, const StoredTensor& stored) {
        const Shape& own = stored.parts.front().tensor->shape;
        for (std::size_t i = 0; i < std::min(shape.size(), own.size()); ++i) {
            shape[i] = shape[i] == 0 ? own[i] : shape[i];
        }
        return shape;
    }

    std::uint64_t find_head_rows(const PlannedTensor& planned) const {
        const bool is_turned = planned.role == role::query || planned.role == role::key ||
                               planned.role == role::to_bias_role(role::query) ||
                               planned.role == role::to_bias_role(role::key);
        return is_turned && architecture_.interleaves_rows && blueprint_.heads
                   ? blueprint_.heads->head_dim
                   : 0;
    }

    /// A part of blk.N.attn_qkv, which is [Q; K; V].
    StoredTensor find_fused(const PlannedTensor& planned) const {
        if (!planned.layer || !blueprint_.heads) {
            return {};
        }
        const HeadLayout& heads = *blueprint_.heads;
        const std::uint64_t queries = std::uint64_t{heads.query_heads} * heads.head_dim;
        const std::uint64_t keys = std::uint64_t{heads.kv_heads} * heads.head_dim;
        struct Part {
            std::string_view role;
            std::uint64_t first;
            std::uint64_t rows;
        };
        for (const Part& part : {Part{role::query, 0, queries},
                                 Part{role::key, queries, keys},
                                 Part{role::value, queries + keys, keys}}) {
            const bool is_weight = planned.role == part.role;
            if (!is_weight && planned.role != role::to_bias_role(part.role)) {
                continue;
            }
            const TensorEntry* fused = file_.find(
                format("blk.{}.attn_qkv.{}", planned.layer->value, is_weight ? "weight" : "bias"));
            if (fused != nullptr) {
                return {.parts = {{.tensor = fused, .first = part.first, .rows = part.rows}}};
            }
        }
        return {};
    }

    const Checkpoint& file_;
    const Blueprint& blueprint_;
    const GgufArchitecture& architecture_;
};

}  // namespace

RecognisedCheckpoint view_for_running(const Checkpoint& file) {
    const std::string name = file.gguf()->architecture();
    const GgufArchitecture* architecture = find_gguf_architecture(name);
    if (architecture == nullptr || std::ranges::find(running, name) == running.end()) {
        throw Error(ErrorKind::unsupported,
                    format("GGUF files of architecture {} do not run here; give the safetensors "
                           "checkpoint that the file was made from",
                           in_quotes(name)));
    }
    const Json config = make_running_config(file);
    const Blueprint blueprint = make_blueprint(config);
    if (blueprint.obstacle) {
        throw *blueprint.obstacle;
    }
    std::vector<TensorEntry> tensors = ViewMaker(file, blueprint, *architecture).make();
    RecognisedCheckpoint view;
    view.checkpoint = file.with_tensors(std::move(tensors), nullptr).with_config(config);
    view.model = recognise(view.checkpoint, {});
    return view;
}

}  // namespace anamnesis::checkpoint
