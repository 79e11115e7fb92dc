// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/inspection.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/plan.hpp"

#include "gguf_inspection.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::LayerKind;
using checkpoint::RowRole;

/// One character a layer: what mixes its tokens.
char choose_letter(const checkpoint::Layer& layer) {
    const auto has = [&](LayerKind kind) { return std::ranges::count(layer.kinds, kind) > 0; };
    const bool is_parallel = layer.kinds.size() > 1;
    if (has(LayerKind::full)) {
        return is_parallel ? 'H' : 'S';
    }
    if (has(LayerKind::mla)) {
        return is_parallel ? 'H' : 'M';
    }
    if (has(LayerKind::sliding)) {
        return 'w';
    }
    return has(LayerKind::conv) ? 'c' : has(LayerKind::mlp) ? '-' : '.';
}

constexpr std::array<std::pair<char, std::string_view>, 7> legend{{
    {'S', "softmax"},
    {'M', "softmax, latent keys (MLA)"},
    {'H', "softmax beside linear"},
    {'w', "sliding-window softmax"},
    {'.', "linear"},
    {'c', "short convolution"},
    {'-', "no mixer"},
}};

std::string make_strip(const checkpoint::Model& model) {
    std::string strip;
    for (const checkpoint::Layer& layer : model.layers) {
        strip += choose_letter(layer);
    }
    return strip;
}

std::string make_legend(const std::string& strip) {
    std::vector<std::string> parts;
    for (const auto& [letter, meaning] : legend) {
        const auto count = std::ranges::count(strip, letter);
        if (count > 0) {
            parts.push_back(format("{} {} ({})", letter, meaning, count));
        }
    }
    return join(parts, ", ");
}

std::vector<checkpoint::RowRange> find_rows(const checkpoint::AttentionTensor& tensor,
                                            RowRole role) {
    std::vector<checkpoint::RowRange> ranges;
    for (const checkpoint::RowBlock& block : tensor.blocks) {
        if (block.role != role) {
            continue;
        }
        if (!ranges.empty() && ranges.back().end == block.rows.begin) {
            ranges.back().end = block.rows.end;
        } else {
            ranges.push_back(block.rows);
        }
    }
    return ranges;
}

std::string ranges_text(const std::vector<checkpoint::RowRange>& ranges) {
    std::vector<std::string> parts;
    constexpr std::size_t most = 3;
    for (std::size_t i = 0; i < std::min(most, ranges.size()); ++i) {
        parts.push_back(format("{}-{}", ranges[i].begin, ranges[i].end - 1));
    }
    std::string text = join(parts, ",");
    if (ranges.size() > most) {
        text += format(",… ({} ranges)", ranges.size());
    }
    return text.empty() ? "-" : text;
}

std::string dtypes_text(const checkpoint::Checkpoint& checkpoint) {
    std::map<std::string_view, std::uint64_t> bytes;
    for (const checkpoint::TensorEntry& tensor : checkpoint.tensors()) {
        bytes[anamnesis::to_string(tensor.dtype)] += tensor.bytes;
    }
    std::vector<std::pair<std::uint64_t, std::string_view>> order;
    for (const auto& [name, size] : bytes) {
        order.emplace_back(size, name);
    }
    std::ranges::sort(order, std::greater{});
    std::vector<std::string> parts;
    for (const auto& [size, name] : order) {
        parts.push_back(order.size() == 1 ? std::string(name)
                                          : format("{} {}", name, human_bytes(size)));
    }
    return join(parts, ", ");
}

std::string rotary_text(const checkpoint::Model& model) {
    using Pairs = checkpoint::RotaryLayout::Pairs;
    if (model.rotary.pairs == Pairs::none) {
        return "no rotary position";
    }
    return format("rotary on {} rows ({})",
                  model.rotary.dimensions,
                  model.rotary.pairs == Pairs::half_split ? "half-split" : "interleaved");
}

std::string qk_norm_text(checkpoint::QkNorm norm) {
    switch (norm) {
        case checkpoint::QkNorm::none:
            return "no QK-norm";
        case checkpoint::QkNorm::per_head:
            return "QK-norm per head";
        case checkpoint::QkNorm::per_head_plus1:
            return "QK-norm per head (stored as gain - 1)";
        case checkpoint::QkNorm::full_width:
            return "QK-norm over all heads";
    }
    return "?";
}

Json ranges_json(const std::vector<checkpoint::RowRange>& ranges) {
    Json list = Json::array();
    for (const auto& range : ranges) {
        list.push_back(Json::Array{range.begin, range.end});
    }
    return list;
}

Json layers_json(const checkpoint::Model& model) {
    Json layers = Json::array();
    for (const checkpoint::Layer& layer : model.layers) {
        Json kinds = Json::array();
        for (const LayerKind kind : layer.kinds) {
            kinds.push_back(checkpoint::to_string(kind));
        }
        layers.push_back(Json::Object{{"layer", layer.index.value}, {"kinds", std::move(kinds)}});
    }
    return layers;
}

Json routing_json(const checkpoint::Model& model) {
    Json routing = Json::array();
    for (const checkpoint::AttentionTensor& tensor : model.attention) {
        Json entry = Json::Object{
            {"tensor", tensor.name},
            {"layer", tensor.layer ? Json(tensor.layer->value) : Json()},
            {"kind", checkpoint::to_string(tensor.kind)},
            {"group", checkpoint::to_string(tensor.group)},
            {"mtp", tensor.is_draft_head},
            {"rows", tensor.rows},
        };
        for (const auto& [key, role] : {std::pair{"q", RowRole::query},
                                        std::pair{"k", RowRole::key},
                                        std::pair{"v", RowRole::value},
                                        std::pair{"gate", RowRole::gate},
                                        std::pair{"latent", RowRole::latent}}) {
            entry.set(key, ranges_json(find_rows(tensor, role)));
        }
        routing.push_back(std::move(entry));
    }
    return routing;
}

Json tensors_json(const RecognisedCheckpoint& source) {
    Json tensors = Json::array();
    for (const checkpoint::TensorEntry& tensor : source.checkpoint.tensors()) {
        const auto group = checkpoint::classify_tensor(source.model, tensor.name);
        Json shape = Json::array();
        for (const std::uint64_t size : tensor.shape) {
            shape.push_back(size);
        }
        tensors.push_back(Json::Object{
            {"name", tensor.name},
            {"dtype", anamnesis::to_string(tensor.dtype)},
            {"shape", std::move(shape)},
            {"file", source.checkpoint.files()[tensor.file].path().filename().string()},
            {"group", group ? Json(checkpoint::to_string(*group)) : Json("mixed")}});
    }
    return tensors;
}

std::string make_routing_table(const checkpoint::Model& model) {
    std::vector<std::vector<std::string>> rows;
    for (const checkpoint::AttentionTensor& tensor : model.attention) {
        const auto queries = find_rows(tensor, RowRole::query);
        const auto keys = find_rows(tensor, RowRole::key);
        const bool is_routing = (tensor.group == checkpoint::AttentionGroup::weight ||
                                 tensor.group == checkpoint::AttentionGroup::bias) &&
                                (!queries.empty() || !keys.empty());
        if (is_routing) {
            rows.push_back({tensor.layer ? format("{}", tensor.layer->value) : "mtp",
                            tensor.name,
                            ranges_text(queries),
                            ranges_text(keys),
                            format("{}", tensor.rows)});
        }
    }
    return report::text_table({">layer", "tensor", "W_Q rows", "W_K rows", ">of"}, rows);
}

std::string make_tensor_table(const RecognisedCheckpoint& source) {
    std::vector<std::vector<std::string>> rows;
    for (const checkpoint::TensorEntry& tensor : source.checkpoint.tensors()) {
        const auto group = checkpoint::classify_tensor(source.model, tensor.name);
        rows.push_back({tensor.name,
                        std::string(anamnesis::to_string(tensor.dtype)),
                        anamnesis::to_string(tensor.shape),
                        std::string(group ? checkpoint::to_string(*group) : "mixed")});
    }
    return report::text_table({"tensor", "dtype", "shape", "group"}, rows);
}

}  // namespace

Json make_inspection_json(const RecognisedCheckpoint& source, TensorList list) {
    const checkpoint::Model& model = source.model;
    const checkpoint::Checkpoint& files = source.checkpoint;
    Json json = Json::Object{{"path", files.path().string()},
                             {"family", model.family},
                             {"model_type", model.model_type},
                             {"evidence", model.evidence},
                             {"parameters", files.parameter_count()},
                             {"bytes", files.tensor_bytes()},
                             {"files", static_cast<std::uint64_t>(files.files().size())},
                             {"tensors", static_cast<std::uint64_t>(files.tensors().size())},
                             {"hidden_size", model.hidden_size},
                             {"vocab_size", model.vocab_size},
                             {"tied_head", model.is_head_tied},
                             {"strip", make_strip(model)}};
    if (model.heads) {
        json.set("heads",
                 Json::Object{{"query", model.heads->query_heads},
                              {"key_value", model.heads->kv_heads},
                              {"head_dim", model.heads->head_dim}});
    }
    if (files.gguf()) {
        json.set("gguf", describe_gguf(source));
    }
    json.set("layers", layers_json(model));
    json.set("routing", routing_json(model));
    if (list == TensorList::all) {
        json.set("all_tensors", tensors_json(source));
    }
    Json warnings = Json::array();
    for (const std::string& sentence : checkpoint::list_sentences(source.findings())) {
        warnings.push_back(sentence);
    }
    json.set("warnings", std::move(warnings));
    json.set("findings", checkpoint::to_json(source.findings()));
    return json;
}

std::string make_inspection_text(const RecognisedCheckpoint& source, TensorList list) {
    const checkpoint::Model& model = source.model;
    const checkpoint::Checkpoint& files = source.checkpoint;
    const std::string strip = make_strip(model);
    std::string text = format("{}  family {} ({})\n{} parameters, {} in {} file{}, {}\n\n",
                              files.path().string(),
                              model.family,
                              model.evidence,
                              human_count(files.parameter_count()),
                              human_bytes(files.tensor_bytes()),
                              files.files().size(),
                              files.files().size() == 1 ? "" : "s",
                              dtypes_text(files));
    text += format("layers  {}\n        {}\n", strip, make_legend(strip));
    if (model.heads) {
        text += format("heads   {} query, {} key-value, {} rows each; {}; {}\n",
                       model.heads->query_heads,
                       model.heads->kv_heads,
                       model.heads->head_dim,
                       rotary_text(model),
                       qk_norm_text(model.qk_norm));
    }
    text += format("head    {}\n", model.is_head_tied ? "tied to the embedding" : "untied");
    text += files.gguf() ? describe_gguf_text(source) : std::string();
    text += "\n" + make_routing_table(model);
    if (list == TensorList::all) {
        text += "\n" + make_tensor_table(source);
    }
    for (const checkpoint::Finding& finding : source.findings()) {
        text += format("{}: {}\n", to_string(finding.severity), describe(finding));
    }
    return text;
}

}  // namespace anamnesis::restore
