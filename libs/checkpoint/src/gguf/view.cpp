// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "gguf/computed_rows.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Rows of one role and head in one block, whatever tensor holds them.
using RowKey = std::tuple<std::uint32_t, AttentionGroup, RowRole, std::optional<std::uint32_t>>;

struct FoundRows {
    const TensorEntry* tensor = nullptr;
    RowRange rows{};
};

/// The block that a tensor of softmax attention goes into: draft heads follow the layers.
std::uint32_t find_block(const AttentionTensor& tensor, std::size_t layers) {
    if (tensor.layer) {
        return tensor.layer->value;
    }
    std::string_view name = tensor.canonical_name;
    const bool is_counted_apart = name.starts_with("mtp.");
    if (is_counted_apart) {
        name.remove_prefix(std::string_view("mtp.").size());
    }
    const auto numbered = find_numbered(name);
    const std::uint32_t number = numbered ? numbered->number : 0;
    return is_counted_apart ? static_cast<std::uint32_t>(layers) + number : number;
}

std::string describe_heads(const std::optional<HeadLayout>& heads) {
    return heads ? format("{} query and {} key-value heads of {} rows",
                          heads->query_heads,
                          heads->kv_heads,
                          heads->head_dim)
                 : std::string("heads that nothing tells");
}

class Viewer {
public:
    Viewer(const RecognisedCheckpoint& source, const RecognisedCheckpoint& post, GgufVia via)
        : source_(source),
          post_(post),
          architecture_(*find_gguf_architecture(post.checkpoint.gguf()->architecture())),
          via_(via) {
        for (const AttentionTensor& tensor : source.model.attention) {
            const std::uint32_t block = find_block(tensor, source.model.layers.size());
            for (const RowBlock& rows : tensor.blocks) {
                rows_.try_emplace({block, tensor.group, rows.role, rows.head},
                                  FoundRows{&source.checkpoint.at(tensor.name), rows.rows});
            }
        }
    }

    RecognisedCheckpoint make() {
        check();
        refuse_problems();
        std::vector<TensorEntry> tensors;
        RecognisedCheckpoint view{.checkpoint = source_.checkpoint, .model = post_.model};
        view.model.attention.clear();
        for (const AttentionTensor& tensor : post_.model.attention) {
            const TensorEntry& stored = post_.checkpoint.at(tensor.name);
            if (auto computed = compute(tensor, stored)) {
                tensors.push_back(make_entry(stored, std::move(computed)));
                view.model.attention.push_back(tensor);
            }
        }
        if (!architecture_.has_multipliers) {
            add_plain(tensors);
        }
        refuse_problems();
        view.checkpoint =
            source_.checkpoint.with_tensors(std::move(tensors), post_.checkpoint.gguf());
        view.model.findings = source_.model.findings;
        view.model.vocab_size = source_.model.vocab_size;
        view.model.hidden_size = source_.model.hidden_size;
        set_theta(view.model.position);
        set_stretch(view.model.position);
        return view;
    }

private:
    void check() {
        const Model& pre = source_.model;
        const Model& post = post_.model;
        if (std::ranges::find(architecture_.families, pre.family) == architecture_.families.end()) {
            problems_.push_back(
                format("the family is {} in pre, and GGUF files of architecture {} "
                       "are made of {}",
                       pre.family,
                       architecture_.name,
                       join_families()));
        }
        if (pre.heads != post.heads) {
            problems_.push_back(format(
                "pre has {}, post has {}", describe_heads(pre.heads), describe_heads(post.heads)));
        }
        if (pre.layers.size() != post.layers.size()) {
            problems_.push_back(
                format("pre has {} layers and post has {}", pre.layers.size(), post.layers.size()));
            return;
        }
        for (std::size_t i = 0; i < pre.layers.size(); ++i) {
            if (pre.layers[i].is_softmax() != post.layers[i].is_softmax()) {
                problems_.push_back(format("layer {} is {} in pre and {} in post",
                                           i,
                                           to_string(pre.layers[i].kinds.front()),
                                           to_string(post.layers[i].kinds.front())));
            }
        }
    }

    std::string join_families() const {
        std::vector<std::string> names;
        for (const std::string_view family : architecture_.families) {
            names.emplace_back(family);
        }
        return join(names, ", ");
    }

    void refuse_problems() const {
        if (!problems_.empty()) {
            throw Error(ErrorKind::mismatch,
                        format("pre, a checkpoint of safetensors, does not fit the GGUF file {}: "
                               "{}",
                               in_quotes(post_.checkpoint.path().string(), 1000),
                               join(problems_, "; ")));
        }
    }

    static TensorEntry make_entry(const TensorEntry& stored,
                                  std::shared_ptr<const ComputedTensor> computed) {
        return {.name = stored.name,
                .dtype = DType::f32,
                .shape = stored.shape,
                .file = 0,
                .offset = 0,
                .bytes = find_byte_count(DType::f32, stored.shape).value_or(0),
                .source = {},
                .computed = std::move(computed)};
    }

    std::shared_ptr<const SourceRows> open(const TensorEntry& tensor) {
        auto& opened = opened_[&tensor];
        if (!opened) {
            opened = std::make_shared<SourceRows>(source_.checkpoint, tensor);
        }
        return opened;
    }

    GgufTransform choose_transform(const AttentionTensor& tensor, RowRole role) const {
        GgufTransform transform{.via = via_};
        transform.adds_one =
            tensor.group == AttentionGroup::norm && architecture_.adds_one_to_gains;
        if (!architecture_.has_multipliers || tensor.group != AttentionGroup::weight) {
            return transform;
        }
        const ConfigReader config(source_.checkpoint.config());
        if (role == RowRole::key) {
            transform.factors.push_back(config.find_number("key_multiplier").value_or(1.0));
        }
        transform.factors.push_back(config.find_number("attention_in_multiplier").value_or(1.0));
        return transform;
    }

    /// Null where pre lacks rows of the tensor, which is told where they are asked for.
    std::shared_ptr<const ComputedTensor> compute(const AttentionTensor& tensor,
                                                  const TensorEntry& stored) {
        std::vector<SourceRow> rows;
        std::uint64_t rows_of_head = 0;
        const bool is_stack = stored.shape.size() == 3;
        const std::uint32_t block = find_block(tensor, post_.model.layers.size());
        for (const RowBlock& part : tensor.blocks) {
            const auto found = rows_.find({block, tensor.group, part.role, part.head});
            if (found == rows_.end()) {
                return nullptr;
            }
            const auto& [source, range] = found->second;
            const std::uint64_t expected =
                is_stack ? (part.role == RowRole::key ? stored.shape[2] : stored.shape[1])
                         : part.rows.size();
            if (range.size() != expected || source->columns() != find_columns(stored, part.role)) {
                problems_.push_back(
                    format("tensor {} of shape {} has no counterpart in {} of "
                           "shape {}",
                           in_quotes(stored.name),
                           anamnesis::to_string(stored.shape),
                           in_quotes(source->name),
                           anamnesis::to_string(source->shape)));
                return nullptr;
            }
            rows_of_head = range.size();
            append_rows(tensor, part, {open(*source), range.begin}, range.size(), is_stack, rows);
        }
        const GgufTransform transform = choose_transform(tensor, tensor.blocks.front().role);
        return is_stack && tensor.blocks.front().role == RowRole::key
                   ? make_transposed_stack(std::move(rows), rows_of_head, transform)
                   : make_computed_rows(std::move(rows), transform);
    }

    /// Columns of the family's own tensor.
    static std::uint64_t find_columns(const TensorEntry& stored, RowRole role) {
        if (stored.shape.size() == 3) {
            return role == RowRole::key ? stored.shape[1] : stored.shape[2];
        }
        return stored.columns();
    }

    void append_rows(const AttentionTensor& tensor,
                     const RowBlock& part,
                     const SourceRow& first,
                     std::uint64_t count,
                     bool is_stack,
                     std::vector<SourceRow>& rows) const {
        if (is_stack && part.role == RowRole::key) {
            rows.push_back(first);
            return;
        }
        const bool is_interleaved = architecture_.interleaves_rows && part.head &&
                                    tensor.group != AttentionGroup::norm &&
                                    (part.role == RowRole::query || part.role == RowRole::key);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t row = is_interleaved ? i / 2 + i % 2 * (count / 2) : i;
            rows.push_back({first.source, first.row + row});
        }
    }

    const TensorEntry* find_plain(const std::string& canonical) const {
        const auto name = find_gguf_name(canonical);
        constexpr std::string_view before_feed_forward = "ffn_norm.weight";
        if (name && name->ends_with(before_feed_forward)) {
            // Of architectures with norms on both sides of the mixer it is the second of these.
            const std::string after_mixer =
                name->substr(0, name->size() - before_feed_forward.size()) +
                "post_attention_norm.weight";
            if (const TensorEntry* stored = post_.checkpoint.find(after_mixer)) {
                return stored;
            }
        }
        return name ? post_.checkpoint.find(*name) : nullptr;
    }

    /// Whether rows of a tensor are read as they lie, by scales of its blocks where it has some.
    bool has_plain_values(const TensorEntry& tensor) const {
        if (!is_scaled(tensor.dtype)) {
            return is_arithmetic(tensor.dtype);
        }
        try {
            const auto scale = find_scale(source_.checkpoint, tensor.name);
            return !scale || (scale->value_type && scale->columns_per_block != 0);
        } catch (const Error&) {
            return false;  // it has a finding of its own
        }
    }

    /// Tensors that go over one by one: the rest by which drift and relation are judged.
    void add_plain(std::vector<TensorEntry>& tensors) {
        for (const TensorEntry& tensor : source_.checkpoint.tensors()) {
            const std::string canonical = canonical_name(tensor.name);
            const TensorEntry* stored = find_plain(canonical);
            if (stored == nullptr || stored->shape != tensor.shape || tensor.row_bytes() == 0 ||
                !has_plain_values(tensor)) {
                continue;
            }
            std::vector<SourceRow> rows;
            for (std::uint64_t row = 0; row < tensor.rows(); ++row) {
                rows.push_back({open(tensor), row});
            }
            const bool is_norm = tensor.shape.size() == 1;
            tensors.push_back(make_entry(
                *stored,
                make_computed_rows(
                    std::move(rows),
                    {.adds_one = is_norm && architecture_.adds_one_to_gains, .via = via_})));
        }
    }

    /// What the metadata has of a rotary base is a float32 of pre's.
    void set_theta(PositionSettings& position) const {
        const PositionSettings& pre = source_.model.position;
        const bool differs =
            pre.uses_rope && position.uses_rope && pre.rope_theta && position.rope_theta &&
            static_cast<float>(*pre.rope_theta) != static_cast<float>(*position.rope_theta);
        if (differs) {
            position.rope_theta = pre.rope_theta;
            if (const Json* theta = pre.rope_meaning.find("rope_theta")) {
                position.rope_meaning.set("rope_theta", *theta);
            }
        }
    }

    /// By how much positions are stretched. Other scalings have other forms in GGUF files: factors
    /// of frequencies in tensors.
    void set_stretch(PositionSettings& position) const {
        const Json& pre = source_.model.position.rope_meaning;
        const std::string stretch = describe_stretch(pre);
        if (has_frequencies() != has_listed_frequencies(pre)) {
            position.rope_scaling = source_.model.position.rope_scaling;
            const Json* type = pre.find("rope_type");
            position.rope_meaning.set("rope_type", type == nullptr ? Json("default") : *type);
            return;
        }
        if (stretch == describe_stretch(position.rope_meaning)) {
            return;
        }
        const Json* type = stretch.empty() ? nullptr : pre.find("rope_type");
        const Json* factor = stretch.empty() ? nullptr : pre.find("factor");
        position.rope_scaling = source_.model.position.rope_scaling;
        position.rope_meaning.set("rope_type", type == nullptr ? Json("default") : *type);
        position.rope_meaning.set("factor", factor == nullptr ? Json("1") : *factor);
    }

    /// Post has factors of frequencies as tensors.
    bool has_frequencies() const {
        const checkpoint::Checkpoint& post = post_.checkpoint;
        return post.find("rope_freqs.weight") != nullptr ||
               post.find("rope_factors_short.weight") != nullptr;
    }

    /// A scaling that GGUF files have as such tensors.
    static bool has_listed_frequencies(const Json& meaning) {
        const Json* type = meaning.find("rope_type");
        return type != nullptr && (*type == Json("llama3") || *type == Json("longrope"));
    }

    /// "linear 4"; empty where they are not stretched. Metadata have float32.
    static std::string describe_stretch(const Json& meaning) {
        const Json* type = meaning.find("rope_type");
        const Json* factor = meaning.find("factor");
        if (type == nullptr || !type->is_string() || factor == nullptr || !factor->is_string()) {
            return {};
        }
        const std::string& word = type->as_string("rope_type");
        return word == "linear" || word == "yarn"
                   ? format(
                         "{} {}", word, std::strtof(factor->as_string("factor").c_str(), nullptr))
                   : std::string();
    }

    const RecognisedCheckpoint& source_;
    const RecognisedCheckpoint& post_;
    const GgufArchitecture& architecture_;
    GgufVia via_;
    std::map<RowKey, FoundRows> rows_;
    std::map<const TensorEntry*, std::shared_ptr<const SourceRows>> opened_;
    std::vector<std::string> problems_;
};

}  // namespace

RecognisedCheckpoint view_as_gguf(const RecognisedCheckpoint& source,
                                  const RecognisedCheckpoint& post,
                                  GgufVia via) {
    return Viewer(source, post, via).make();
}

}  // namespace anamnesis::checkpoint
