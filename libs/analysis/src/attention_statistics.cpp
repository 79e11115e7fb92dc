// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/attention_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/exp.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"

#include "attention_rows.hpp"
#include "distance_sums.hpp"
#include "network_input.hpp"

namespace anamnesis::analysis {
namespace {

using runtime::AttentionValues;
using runtime::Network;

/// The queries of one text that are asked about.
struct Asked {
    std::span<const std::int64_t> ids;
    const AttentionQuestion& question;
    std::vector<bool> queries;  ///< [T]

    bool is_answer(std::size_t query) const {
        return question.needle && question.answer_queries.holds(query);
    }

    double count_beyond(std::size_t distance) const {
        return static_cast<double>(std::count(
            queries.begin() + static_cast<std::ptrdiff_t>(std::min(distance + 1, queries.size())),
            queries.end(),
            true));
    }
};

/// One row of weights, unnormalised: exp of logits whose largest is 0.
template <class Value>
struct Row {
    const Value* logits;
    const Value* powers;
    std::int64_t count = 0;
};

template <class Value>
double compute_sum(const Row<Value>& row) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < row.count; ++i) {
        sum += static_cast<double>(row.powers[i]);
    }
    return sum;
}

/// ln of the sum less the mean logit. Keys that are not seen have power 0, logit -inf.
template <class Value>
double compute_entropy(const Row<Value>& row, double sum) {
    double mean = 0.0;
    for (std::int64_t i = 0; i < row.count; ++i) {
        if (row.powers[i] > Value{0}) {
            mean += static_cast<double>(row.powers[i]) * static_cast<double>(row.logits[i]);
        }
    }
    return std::log(sum) - mean / sum;
}

/// What a head's rows add up to.
class HeadSums {
public:
    explicit HeadSums(const Asked& asked)
        : asked_(asked), mass_(asked.ids.size()), is_copied_(needle_size()) {}

    /// `logits` are those of `logit_rows`; `weights` their softmax.
    template <class Value>
    void add(const PairBlock& logits, const at::Tensor& powers) {
        const std::int64_t columns = powers.size(1);
        for (std::int64_t r = 0; r < powers.size(0); ++r) {
            const auto query = static_cast<std::size_t>(logits.first_query + r);
            const Row<Value> row{.logits = logits.values.const_data_ptr<Value>() + r * columns,
                                 .powers = powers.const_data_ptr<Value>() + r * columns,
                                 .count = logits.first_query + r - logits.first_key + 1};
            if (asked_.queries[query] || asked_.is_answer(query)) {
                add(row, query, static_cast<std::size_t>(logits.first_key));
            }
        }
    }

    HeadAttention finish() const {
        const double queries = asked_.count_beyond(0) + (asked_.queries.front() ? 1.0 : 0.0);
        HeadAttention head{.entropy = entropy_ / queries};
        for (std::size_t tau = 0; tau < mass_.size(); ++tau) {
            head.mean_distance += static_cast<double>(tau) * mass_[tau] / queries;
        }
        for (const std::size_t distance : asked_.question.beyond) {
            double mass = 0.0;
            for (std::size_t tau = distance + 1; tau < mass_.size(); ++tau) {
                mass += mass_[tau];
            }
            const double able = asked_.count_beyond(distance);
            head.share_beyond.push_back(mass / queries);
            head.share_beyond_of_able.push_back(
                able > 0.0 ? mass / able : std::numeric_limits<double>::quiet_NaN());
        }
        if (asked_.question.needle) {
            head.needle_mass =
                needle_mass_ / static_cast<double>(asked_.question.answer_queries.size());
            head.retrieval = static_cast<double>(std::ranges::count(is_copied_, true)) /
                             static_cast<double>(is_copied_.size());
        }
        return head;
    }

private:
    std::size_t needle_size() const {
        return asked_.question.needle ? asked_.question.needle->size() : 0;
    }

    template <class Value>
    void add(const Row<Value>& row, std::size_t query, std::size_t first_key) {
        const double sum = compute_sum(row);
        if (asked_.queries[query]) {
            entropy_ += compute_entropy(row, sum);
            const std::size_t farthest = query - first_key;
            const double share = 1.0 / sum;
            for (std::int64_t i = 0; i < row.count; ++i) {
                mass_[farthest - static_cast<std::size_t>(i)] +=
                    static_cast<double>(row.powers[i]) * share;
            }
        }
        if (asked_.is_answer(query) && asked_.question.needle) {
            look_for_needle(row, query, first_key, sum, *asked_.question.needle);
        }
    }

    template <class Value>
    void look_for_needle(const Row<Value>& row,
                         std::size_t query,
                         std::size_t first_key,
                         double sum,
                         const TokenSpan& needle) {
        const std::size_t begin = std::max(needle.first, first_key);
        const std::size_t end = std::min(needle.end, query + 1);
        for (std::size_t key = begin; key < end; ++key) {
            needle_mass_ += static_cast<double>(row.powers[key - first_key]) / sum;
        }
        const auto strongest = static_cast<std::size_t>(
            std::max_element(row.powers, row.powers + row.count) - row.powers);
        const std::size_t key = first_key + strongest;
        if (needle.holds(key) && query + 1 < asked_.ids.size() &&
            asked_.ids[key] == asked_.ids[query + 1]) {
            is_copied_[key - needle.first] = true;
        }
    }

    const Asked& asked_;
    std::vector<double> mass_;  ///< by distance
    double entropy_ = 0.0;
    double needle_mass_ = 0.0;
    std::vector<bool> is_copied_;
};

HeadAttention measure_head(const HeadPair& head, const Asked& asked) {
    HeadSums sums(asked);
    const std::int64_t length = head.q.size(0);
    const std::int64_t step = block_rows(length);
    for (std::int64_t first = 0; first < length; first += step) {
        const PairBlock logits = logit_rows(head, first, std::min(step, length - first)).shifted;
        const at::Tensor powers = at::exp(logits.values);
        if (powers.scalar_type() == at::kDouble) {
            sums.add<double>(logits, powers);
        } else {
            sums.add<float>(logits, powers);
        }
    }
    return sums.finish();
}

/// Of heads; empty where there are none.
std::vector<double> copy_slopes(const at::Tensor& slopes) {
    if (!slopes.defined()) {
        return {};
    }
    const at::Tensor host = slopes.detach().to(at::kCPU, at::kDouble).contiguous();
    const auto* first = host.const_data_ptr<double>();
    return {first, first + host.numel()};
}

LayerAttention measure_layer(std::size_t layer,
                             const checkpoint::AttentionSpec* spec,
                             const AttentionValues& values,
                             const Asked& asked) {
    const auto by_head = [](const at::Tensor& tensor) {
        return tensor.squeeze(0).transpose(0, 1).to(at::kCPU).contiguous();
    };
    const at::Tensor q = by_head(values.q);
    const at::Tensor k = by_head(values.k);
    const std::int64_t length = q.size(1);
    // Latent attention has no window and no cap.
    const bool has_window = spec != nullptr && spec->window;
    const std::int64_t window = has_window ? std::min<std::int64_t>(*spec->window, length) : length;
    const std::optional<double> softcap = spec == nullptr ? std::nullopt : spec->softcap;
    const std::vector<double> slopes = copy_slopes(values.slopes);
    LayerAttention result{.layer = layer,
                          .heads = std::vector<HeadAttention>(static_cast<std::size_t>(q.size(0)))};
    at::parallel_for(0, q.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
        const at::NoGradGuard no_gradients;
        for (std::int64_t h = begin; h < end; ++h) {
            result.heads[static_cast<std::size_t>(h)] = measure_head(
                {.q = q.select(0, h),
                 .k = k.select(0, h / (q.size(0) / k.size(0))),
                 .window = window,
                 .softcap = softcap,
                 .alibi_slope = slopes.empty() ? 0.0 : slopes[static_cast<std::size_t>(h)]},
                asked);
        }
    });
    return result;
}

void check(const Network& network,
           std::span<const std::int64_t> ids,
           const AttentionQuestion& question) {
    check_ids(network, ids);
    const auto is_within = [&](const TokenSpan& span) {
        return span.first < span.end && span.end <= ids.size();
    };
    if (!question.queries.empty() && (question.queries.size() != ids.size() ||
                                      std::ranges::count(question.queries, true) == 0)) {
        throw Error(ErrorKind::mismatch,
                    format("{} marks for {} tokens, one of them at least must be set",
                           question.queries.size(),
                           ids.size()));
    }
    if (question.needle && (!is_within(*question.needle) || !is_within(question.answer_queries))) {
        throw Error(ErrorKind::mismatch,
                    format("needle {}..{} or answer {}..{} lies outside the text of {} tokens",
                           question.needle->first,
                           question.needle->end,
                           question.answer_queries.first,
                           question.answer_queries.end,
                           ids.size()));
    }
    if (std::ranges::none_of(network.spec().layers, [](const runtime::LayerSpec& layer) {
            return is_softmax(layer.mixer);
        })) {
        throw Error(
            ErrorKind::unsupported,
            "the model has no softmax-attention layer, so there is no attention to look at");
    }
    if (std::ranges::any_of(network.spec().layers, [](const runtime::LayerSpec& layer) {
            const checkpoint::AttentionSpec* attention = find_attention(layer.mixer);
            return attention != nullptr && attention->has_sinks;
        })) {
        throw Error(ErrorKind::unsupported,
                    "the model has attention sinks, which take weight that no token gets; "
                    "statistics of its attention are not measured");
    }
}

}  // namespace

std::vector<LayerAttention> attention_statistics(const Network& network,
                                                 std::span<const std::int64_t> ids,
                                                 const AttentionQuestion& question) {
    check(network, ids, question);
    const Asked asked{.ids = ids,
                      .question = question,
                      .queries = question.queries.empty() ? std::vector<bool>(ids.size(), true)
                                                          : question.queries};
    return without_foreign_exceptions([&] {
        const at::NoGradGuard no_gradients;
        std::vector<LayerAttention> layers;
        network.forward(
            to_token_row(ids), {}, [&](std::size_t layer, const AttentionValues& values) {
                layers.push_back(measure_layer(
                    layer, find_attention(network.spec().layers[layer].mixer), values, asked));
            });
        return layers;
    });
}

std::vector<std::int64_t> continuation(const Network& network,
                                       std::span<const std::int64_t> ids,
                                       std::size_t most,
                                       std::span<const std::int64_t> ends) {
    check_ids(network, ids);
    constexpr std::size_t chunk = 1024;
    return without_foreign_exceptions([&] {
        const at::NoGradGuard no_gradients;
        runtime::NetworkState state = network.make_state();
        runtime::NetworkState* const states = &state;
        at::Tensor hidden;
        for (std::size_t done = 0; done < ids.size(); done += chunk) {
            const auto piece = ids.subspan(done, std::min(chunk, ids.size() - done));
            hidden = network.advance(to_token_row(piece), std::span(&states, 1));
        }
        std::vector<std::int64_t> tokens;
        while (tokens.size() < most) {
            const at::Tensor last = hidden.select(1, hidden.size(1) - 1);
            const auto token = network.logits(last).argmax(-1).item<std::int64_t>();
            if (std::ranges::find(ends, token) != ends.end()) {
                break;
            }
            tokens.push_back(token);
            hidden = network.advance(to_token_row(std::span(&token, 1)), std::span(&states, 1));
        }
        return tokens;
    });
}

}  // namespace anamnesis::analysis
