// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/adapter_inspection.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/adapter_names.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/merge.hpp"

#include "adapter_values.hpp"
#include "merge_rows.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::AttentionGroup;
using checkpoint::LayerKind;
using checkpoint::RowRange;
using checkpoint::RowRole;
using checkpoint::Severity;
using checkpoint::TensorEntry;
using linalg::Matrix;

constexpr std::string_view outside = "outside";

std::string join_kinds(const std::vector<LayerKind>& kinds) {
    std::vector<std::string> words;
    for (const LayerKind kind : kinds) {
        words.emplace_back(checkpoint::to_string(kind));
    }
    return words.empty() ? std::string(outside) : join(words, "+");
}

/// "layers.3.mlp.experts.7.up_proj" gives layer 3 and "mlp.experts.*.up_proj".
std::string find_group_name(std::string_view path, std::optional<std::uint32_t>& layer) {
    const std::string canonical = checkpoint::canonical_name(path);
    std::vector<std::string> parts = split(canonical, '.');
    const auto is_number = [](const std::string& part) {
        return !part.empty() &&
               std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    };
    if (const auto found = checkpoint::find_layer(format("{}.weight", path))) {
        layer = found->value;
        parts.erase(parts.begin(), parts.begin() + 2);
    }
    for (std::string& part : parts) {
        part = is_number(part) ? "*" : part;
    }
    return join(parts, ".");
}

/// Module groups by kind of layer and name.
class Coverage {
public:
    ModuleGroup& find(const std::string& kind, const std::string& name) {
        ModuleGroup& group = groups_[kind][name];
        group.name = name;
        return group;
    }

    void add(const std::string& kind, std::string_view path, std::uint64_t rank, double scale) {
        std::optional<std::uint32_t> layer;
        ModuleGroup& group = find(kind, find_group_name(path, layer));
        ++group.modules;
        ++group.ranks[rank];
        ++group.scales[scale];
        if (layer) {
            group.layers.push_back(*layer);
        }
    }

    std::vector<KindCoverage> finish() && {
        std::vector<KindCoverage> result;
        for (auto& [kind, by_name] : groups_) {
            KindCoverage& coverage = result.emplace_back(KindCoverage{.kind = kind, .modules = {}});
            for (auto& [name, group] : by_name) {
                for (auto* layers : {&group.layers, &group.all_layers}) {
                    std::ranges::sort(*layers);
                    layers->erase(std::unique(layers->begin(), layers->end()), layers->end());
                }
                coverage.modules.push_back(std::move(group));
            }
        }
        return result;
    }

private:
    std::map<std::string, std::map<std::string, ModuleGroup>> groups_;
};

/// Every matrix of a layer of the base, touched or not.
void add_base_modules(const RecognisedCheckpoint& base, Coverage& coverage) {
    constexpr std::string_view suffix = ".weight";
    for (const TensorEntry& tensor : base.checkpoint.tensors()) {
        const auto layer = checkpoint::find_layer(tensor.name);
        if (!layer || layer->value >= base.model.layers.size() || tensor.shape.size() != 2 ||
            !tensor.name.ends_with(suffix)) {
            continue;
        }
        std::optional<std::uint32_t> number;
        const std::string name = find_group_name(
            std::string_view(tensor.name).substr(0, tensor.name.size() - suffix.size()), number);
        coverage.find(join_kinds(base.model.layers[layer->value].kinds), name)
            .all_layers.push_back(layer->value);
    }
}

/// The squares of the rows of a part, of the base and of what the adapter does to them.
struct Squares {
    double before = 0.0;
    double difference = 0.0;
};

double measure_base(const TensorEntry& base, RowRange rows) {
    double sum = 0.0;
    for (std::uint64_t row = rows.begin; row < rows.end; ++row) {
        const Matrix values = load_rows(base, {.begin = row, .end = row + 1});
        sum += linalg::sum_of_squares(values);
    }
    return sum;
}

/// tr((B^T B)(A A^T)) over the rows of one part; `of_a` is A A^T.
double measure_pair(const checkpoint::MatchedModule& matched, const Matrix& of_a, RowRange rows) {
    const Matrix b = load_rows(*matched.module->b, rows);
    const Matrix of_b = linalg::product(linalg::transposed(b), b);
    return matched.scale * matched.scale * std::max(0.0, linalg::dot(of_b, of_a));
}

Matrix make_gram(const TensorEntry& a) {
    const Matrix values = load_rows(a, {.begin = 0, .end = a.rows()});
    return linalg::gram(values);
}

double measure_dora(const checkpoint::MatchedModule& matched, RowRange rows) {
    const MergeFactors factors(matched, MergeRounding::once);
    const TensorEntry& magnitude = *matched.module->magnitude;
    const Matrix magnitudes = load_rows(magnitude, {.begin = 0, .end = magnitude.rows()});
    double sum = 0.0;
    for (std::uint64_t row = rows.begin; row < rows.end; ++row) {
        const RowRange one{.begin = row, .end = row + 1};
        const Matrix before = load_rows(*matched.weight, one);
        Matrix after = before;
        const Matrix left = factors.load_left(one);
        factors.add(left, after);
        apply_magnitudes(magnitudes.values().subspan(row, 1), MergeRounding::once, after);
        sum += linalg::sum_of_squared_differences(after, before);
    }
    return sum;
}

double measure_saved(const checkpoint::MatchedSaved& saved, RowRange rows) {
    double sum = 0.0;
    for (std::uint64_t row = rows.begin; row < rows.end; ++row) {
        const RowRange one{.begin = row, .end = row + 1};
        const Matrix before = load_rows(*saved.base, one);
        const Matrix after = load_rows(*saved.saved->tensor, one);
        sum += linalg::sum_of_squared_differences(after, before);
    }
    return sum;
}

class BendFinder {
public:
    explicit BendFinder(const checkpoint::AdapterMatch& match) : match_(match) {}

    std::vector<Bend> find() {
        for (const checkpoint::AttentionTensor& tensor : match_.base->model.attention) {
            if (tensor.group == AttentionGroup::weight && tensor.layer && !tensor.is_draft_head) {
                add(tensor, match_.base->checkpoint.at(tensor.name));
            }
        }
        std::vector<Bend> bends;
        for (const auto& [key, squares] : sums_) {
            bends.push_back({.layer = key.first,
                             .kind = std::string(checkpoint::to_string(kinds_[key.first])),
                             .part = key.second,
                             .difference = std::sqrt(squares.difference),
                             .drift = squares.before > 0.0
                                          ? std::sqrt(squares.difference / squares.before)
                                          : 0.0});
        }
        return bends;
    }

private:
    void add(const checkpoint::AttentionTensor& tensor, const TensorEntry& base) {
        const checkpoint::MatchedModule* module = match_.find(base);
        const auto saved = std::ranges::find(match_.saved, &base, &checkpoint::MatchedSaved::base);
        if ((module == nullptr && saved == match_.saved.end()) || !holds_values(base.dtype)) {
            return;
        }
        const bool is_pair = module != nullptr && module->module->magnitude == nullptr;
        const Matrix of_a = is_pair ? make_gram(*module->module->a) : Matrix();
        for (const checkpoint::RowBlock& block : tensor.blocks) {
            if (block.role != RowRole::query && block.role != RowRole::key) {
                continue;
            }
            kinds_[tensor.layer->value] = tensor.kind;
            Squares& squares =
                sums_[{tensor.layer->value, block.role == RowRole::query ? "q" : "k"}];
            squares.before += measure_base(base, block.rows);
            squares.difference += is_pair             ? measure_pair(*module, of_a, block.rows)
                                  : module != nullptr ? measure_dora(*module, block.rows)
                                                      : measure_saved(*saved, block.rows);
        }
    }

    const checkpoint::AdapterMatch& match_;
    std::map<std::pair<std::uint32_t, std::string>, Squares> sums_;
    std::map<std::uint32_t, LayerKind> kinds_;
};

/// Which linear mixers the adapter reaches.
void audit_hybrid(const checkpoint::AdapterMatch& match,
                  std::vector<checkpoint::Finding>& findings) {
    const checkpoint::Model& model = match.base->model;
    const auto is_linear = [](const checkpoint::Layer& layer) {
        return std::ranges::any_of(layer.kinds, [](LayerKind kind) {
            return kind == LayerKind::linear || kind == LayerKind::conv;
        });
    };
    std::vector<std::uint32_t> linear;
    for (const checkpoint::Layer& layer : model.layers) {
        if (is_linear(layer)) {
            linear.push_back(layer.index.value);
        }
    }
    if (linear.empty()) {
        return;
    }
    std::set<std::uint32_t> hit;
    for (const checkpoint::MatchedModule& module : match.modules) {
        if (module.layer && module.attention == nullptr &&
            checkpoint::classify_tensor(model, module.weight->name) ==
                checkpoint::TensorGroup::mixer) {
            hit.insert(module.layer->value);
        }
    }
    const std::vector<std::uint32_t> touched(hit.begin(), hit.end());
    findings.push_back(
        {.code = touched.empty() ? "linear_mixers_skipped" : "linear_mixers_hit",
         .severity = Severity::note,
         .sentence =
             touched.empty()
                 ? format("the adapter leaves the linear mixers of all {} layers that have one "
                          "alone",
                          linear.size())
                 : format("the adapter changes the linear mixers of {} of {} layers that have one "
                          "({}); a repair of W_Q and W_K leaves them as the adapter has them",
                          touched.size(),
                          linear.size(),
                          compact_list(touched)),
         .count = touched.empty() ? linear.size() : touched.size()});
}

void add_fit_findings(const checkpoint::AdapterMatch& match,
                      std::vector<checkpoint::Finding>& findings) {
    if (!match.unmatched.empty()) {
        const std::string reason = checkpoint::explain_adapter_name(match.unmatched.front());
        findings.push_back(checkpoint::make_finding(
            "unmatched_adapter_tensors",
            Severity::error,
            match.unmatched,
            format("{} tensors of the adapter name nothing in the base: {}",
                   match.unmatched.size(),
                   checkpoint::list_examples(match.unmatched)),
            reason.empty() ? "give the base that the adapter was made for" : reason));
    }
    if (!match.halves.empty()) {
        findings.push_back(checkpoint::make_finding(
            "half_pairs",
            Severity::error,
            match.halves,
            format("{} tensors of the adapter are without the other half of their pair: {}",
                   match.halves.size(),
                   checkpoint::list_examples(match.halves)),
            "save the adapter again"));
    }
    for (const std::string& problem : match.problems) {
        findings.push_back(
            {.code = "adapter_misfit", .severity = Severity::error, .sentence = problem});
    }
}

/// What the adapter alone tells. That it is not merged into files is nothing wrong with it.
void add_own_findings(const checkpoint::Adapter& adapter,
                      std::vector<checkpoint::Finding>& findings) {
    for (const checkpoint::AdapterObstacle& obstacle : adapter.config.obstacles) {
        const bool is_in_files_alone = obstacle.reach == checkpoint::ObstacleReach::files;
        findings.push_back({.code = obstacle.is_residual_base ? "residual_base" : "adapter_variant",
                            .severity = is_in_files_alone ? Severity::note : Severity::error,
                            .sentence = obstacle.sentence});
    }
    if (adapter.weights.tensors().empty()) {
        findings.push_back({.code = "adapter_misfit",
                            .severity = Severity::error,
                            .sentence = "the adapter holds no tensors",
                            .remedy = "fetch it again, or save it again"});
    }
}

}  // namespace

AdapterInspection inspect_adapter(const checkpoint::Adapter& adapter) {
    AdapterInspection inspection{.adapter = &adapter};
    Coverage coverage;
    for (const checkpoint::AdapterModule& module : adapter.modules) {
        if (module.a == nullptr || module.a->shape.empty()) {
            continue;
        }
        checkpoint::ModuleStrength strength =
            checkpoint::find_strength(adapter.config, module.path);
        if (adapter.is_gguf()) {
            strength.rank = static_cast<std::uint32_t>(module.rank());
        }
        coverage.add(
            "", module.path, module.rank(), checkpoint::make_scale(adapter.config, strength));
    }
    inspection.coverage = std::move(coverage).finish();
    inspection.findings = checkpoint::find_wrapped_names(adapter);
    add_own_findings(adapter, inspection.findings);
    return inspection;
}

AdapterInspection inspect_adapter(const checkpoint::AdapterMatch& match) {
    AdapterInspection inspection{.adapter = match.adapter, .match = &match};
    Coverage coverage;
    // A GGUF adapter has names of its own for the modules of the base.
    if (!match.adapter->is_gguf()) {
        add_base_modules(*match.base, coverage);
    }
    for (const checkpoint::AdapterModule& module : match.adapter->modules) {
        const bool is_other =
            module.a != nullptr && std::ranges::find(match.others, module.a) != match.others.end();
        if (is_other) {
            const auto rank = static_cast<std::uint32_t>(module.rank());
            coverage.add(
                std::string(outside),
                module.path,
                rank,
                checkpoint::make_scale(match.adapter->config,
                                       {.rank = rank, .alpha = match.adapter->config.alpha}));
        }
    }
    for (const checkpoint::MatchedModule& module : match.modules) {
        coverage.add(
            join_kinds(module.kinds), module.module->path, module.module->rank(), module.scale);
    }
    inspection.coverage = std::move(coverage).finish();
    inspection.bends = BendFinder(match).find();
    inspection.findings = match.findings;
    add_own_findings(*match.adapter, inspection.findings);
    add_fit_findings(match, inspection.findings);
    audit_hybrid(match, inspection.findings);
    return inspection;
}

}  // namespace anamnesis::restore
