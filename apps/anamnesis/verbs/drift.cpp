// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/restore/checkpoint_drift.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "options.hpp"
#include "render/drift_document.hpp"
#include "render/tables.hpp"
#include "sources.hpp"
#include "terminal.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {
namespace {

/// Median and largest routing drift of a layer's query heads.
std::pair<std::string, std::string> routing_of(const restore::CheckpointDrift& drift,
                                               LayerIndex layer) {
    std::vector<double> values;
    for (const restore::RoutingGroupDrift& group : drift.heads) {
        if (group.layer == layer && !group.is_shared_key) {
            for (const auto& value : group.drift.routing) {
                if (value && std::isfinite(*value)) {
                    values.push_back(*value);
                }
            }
        }
    }
    if (values.empty()) {
        return {"-", "-"};
    }
    std::ranges::sort(values);
    return {short_number(values[values.size() / 2]), short_number(values.back())};
}

void print_table(const restore::Source& post,
                 const restore::CheckpointDrift& drift,
                 Terminal& terminal) {
    std::vector<std::string> columns{">layer", "kind"};
    const auto parts = drift.parts();
    for (const std::string& part : parts) {
        if (part != "embedding" && part != "head" && part != "other") {
            columns.push_back(">" + part);
        }
    }
    columns.emplace_back(">routing");
    columns.emplace_back(">max");
    std::vector<std::vector<std::string>> rows;
    const auto cells = [&](const std::optional<LayerIndex>& layer, std::vector<std::string> row) {
        for (std::size_t i = 2; i + 2 < columns.size(); ++i) {
            const restore::DriftSums sums = drift.of(layer, columns[i].substr(1));
            row.push_back(sums.count == 0 ? "." : short_number(sums.relative()));
        }
        return row;
    };
    for (const checkpoint::Layer& layer : post.model.layers) {
        std::vector<std::string> kinds;
        for (const auto kind : layer.kinds) {
            kinds.emplace_back(checkpoint::name_of(kind));
        }
        auto row = cells(layer.index, {format("{}", layer.index.value), join(kinds, "+")});
        const auto [median, largest] = routing_of(drift, layer.index);
        row.push_back(layer.is_softmax() ? median : ".");
        row.push_back(layer.is_softmax() ? largest : ".");
        rows.push_back(std::move(row));
    }
    auto all = cells({}, {"all", ""});
    all.emplace_back("");
    all.emplace_back("");
    rows.push_back(std::move(all));
    terminal.result(text_table(columns, rows));
}

bool is_above(const restore::CheckpointDrift& drift, double limit) {
    return std::ranges::any_of(drift.tensors, [&](const restore::TensorDrift& tensor) {
        return (tensor.part == "q" || tensor.part == "k") && tensor.sums.relative() > limit;
    });
}

}  // namespace

int run(const DriftOptions& options, Terminal& terminal, const Watch& watch) {
    const restore::Source pre = open_source(options.pre, options.reading, "pre");
    const restore::Source post = open_source(options.post, options.reading, "post");
    restore::Selection selection;
    selection.has_sliding = options.include_sliding;
    selection.has_draft_heads = options.include_mtp;
    const restore::CheckpointDrift drift =
        restore::measure_drift(pre, post, selection, execution_of(options.common, watch));
    if (!options.html.empty()) {
        io::write_text_atomically(options.html, report::to_html(drift_document(pre, post, drift)));
    }
    if (options.common.json) {
        terminal.result(drift_json(pre, post, drift).dump(2) + "\n");
    } else if (!terminal.is_quiet()) {
        print_table(post, drift, terminal);
        for (const std::string& note : drift.notes) {
            terminal.say(format("note: {}", note));
        }
        terminal.say(format("{}; gauge: {}", drift_verdict(drift), drift.gauge));
        if (!options.html.empty()) {
            terminal.say(format("page: {}", options.html));
        }
    }
    return options.limit && is_above(drift, *options.limit) ? 1 : 0;
}

}  // namespace anamnesis::app
