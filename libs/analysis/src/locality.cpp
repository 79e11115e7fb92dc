// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/locality.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/analysis/decay_fit.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::analysis {
namespace {

/// Sums and pairs by bin, of one example.
struct Binned {
    std::vector<double> sums;
    std::vector<double> pairs;
};

/// Sums over some examples: [bins].
struct Totals {
    explicit Totals(std::size_t bins) : sums(bins), pairs(bins) {}

    void add(const Binned& one) {
        for (std::size_t i = 0; i < one.sums.size(); ++i) {
            sums[i] += one.sums[i];
            pairs[i] += one.pairs[i];
        }
    }

    std::vector<double> sums;
    std::vector<double> pairs;
};

/// The value of each bin, given one total for each part of the curve (its layers).
using ComputeValues = std::function<std::vector<double>(std::span<const Totals> parts)>;

std::vector<double> compute_means(const Totals& totals) {
    std::vector<double> values;
    for (std::size_t i = 0; i < totals.sums.size(); ++i) {
        values.push_back(totals.sums[i] / totals.pairs[i]);
    }
    return values;
}

/// Every layer counts alike.
std::vector<double> mean_of_parts(std::span<const Totals> parts) {
    std::vector<double> values(parts.front().sums.size());
    for (const Totals& part : parts) {
        const std::vector<double> means = compute_means(part);
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] += means[i] / static_cast<double>(parts.size());
        }
    }
    return values;
}

std::vector<double> relative_to_first(std::span<const Totals> parts) {
    std::vector<double> values = compute_means(parts.front());
    const double first = values.front();
    for (double& value : values) {
        value /= first;
    }
    return values;
}

/// A curve of examples, from parts[part][example].
class CurveMaker {
public:
    CurveMaker(std::vector<std::vector<Binned>> parts,
               std::vector<DistanceBin> bins,
               ComputeValues compute_values)
        : parts_(std::move(parts)),
          bins_(std::move(bins)),
          compute_values_(std::move(compute_values)) {}

    Curve make() const {
        std::vector<std::size_t> all(examples());
        std::iota(all.begin(), all.end(), std::size_t{0});
        return make_curve(all);
    }

    Curve make_with_intervals(const eval::BootstrapOptions& options) const {
        Curve curve = make();
        if (examples() < 2) {
            curve.no_interval = curve.fit.is_exponential ? "there is one example" : "";
            return curve;
        }
        for (std::size_t i = 0; i < bins_.size(); ++i) {
            curve.points[i].interval = eval::bootstrap_interval(
                examples(),
                [&](std::span<const std::size_t> drawn) { return value_in(drawn, i); },
                options);
        }
        if (curve.fit.is_exponential) {
            add_length_interval(curve, options);
        }
        return curve;
    }

private:
    void add_length_interval(Curve& curve, const eval::BootstrapOptions& options) const {
        std::size_t failed = 0;
        curve.length_interval = eval::bootstrap_interval(
            examples(),
            [&](std::span<const std::size_t> drawn) {
                const DecayFit fit = make_curve(drawn).fit;
                failed += fit.is_exponential ? 0 : 1;
                return fit.is_exponential ? fit.length : std::numeric_limits<double>::quiet_NaN();
            },
            options);
        if (!curve.length_interval) {
            curve.no_interval = format(
                "{} of {} resamples of the examples fit no exponential", failed, options.resamples);
        }
    }

    std::size_t examples() const { return parts_.front().size(); }

    std::vector<Totals> sum_totals(std::span<const std::size_t> drawn) const {
        std::vector<Totals> totals(parts_.size(), Totals(bins_.size()));
        for (std::size_t part = 0; part < parts_.size(); ++part) {
            for (const std::size_t example : drawn) {
                totals[part].add(parts_[part][example]);
            }
        }
        return totals;
    }

    /// One bin alone; of a value that depends on the first bin too, that one as well.
    double value_in(std::span<const std::size_t> drawn, std::size_t bin) const {
        std::vector<Totals> totals(parts_.size(), Totals(2));
        for (std::size_t part = 0; part < parts_.size(); ++part) {
            for (const std::size_t example : drawn) {
                const Binned& one = parts_[part][example];
                if (bin < one.sums.size()) {
                    totals[part].add({.sums = {one.sums.front(), one.sums[bin]},
                                      .pairs = {one.pairs.front(), one.pairs[bin]}});
                }
            }
        }
        return compute_values_(totals)[1];
    }

    Curve make_curve(std::span<const std::size_t> drawn) const {
        const std::vector<Totals> totals = sum_totals(drawn);
        const std::vector<double> values = compute_values_(totals);
        Curve curve;
        std::vector<DecayPoint> points;
        for (std::size_t i = 0; i < bins_.size(); ++i) {
            const double pairs = totals.front().pairs[i];
            curve.points.push_back({.bin = bins_[i], .value = values[i], .pairs = pairs});
            points.push_back({.distance = bins_[i].middle(), .value = values[i], .weight = pairs});
        }
        curve.fit = fit_decay(points);
        return curve;
    }

    std::vector<std::vector<Binned>> parts_;
    std::vector<DistanceBin> bins_;
    ComputeValues compute_values_;
};

Binned mean_over_heads(const LayerRecord& layer) {
    Binned mean{.sums = std::vector<double>(layer.pairs.size()), .pairs = layer.pairs};
    for (const std::vector<double>& head : layer.sums) {
        for (std::size_t i = 0; i < mean.sums.size(); ++i) {
            mean.sums[i] += head[i] / static_cast<double>(layer.sums.size());
        }
    }
    return mean;
}

void check_alike(std::span<const ExampleRecord> records) {
    ANAMNESIS_CHECK(!records.empty(), "a locality of no examples");
    const auto is_whole = [](const LayerRecord& layer, std::size_t bins) {
        return layer.pairs.size() == bins &&
               std::ranges::all_of(layer.sums, [&](const std::vector<double>& head) {
                   return head.size() == bins;
               });
    };
    for (const ExampleRecord& record : records) {
        const std::size_t bins = distance_bins(record.tokens).size();
        bool fits = record.layers.size() == records.front().layers.size() &&
                    record.correlation_pairs.size() == record.correlation_sums.size() &&
                    record.correlation_sums.size() <= bins && !record.layers.empty();
        for (std::size_t i = 0; fits && i < record.layers.size(); ++i) {
            const LayerRecord& other = records.front().layers[i];
            fits = is_whole(record.layers[i], bins) && record.layers[i].layer == other.layer &&
                   record.layers[i].sums.size() == other.sums.size() && !other.sums.empty() &&
                   record.layers[i].bands.size() == other.bands.size();
        }
        if (!fits) {
            throw Error(ErrorKind::mismatch,
                        format("example {} has other layers, heads or bins than example {}",
                               in_quotes(record.id),
                               in_quotes(records.front().id)));
        }
    }
}

std::vector<BandNorms> mean_bands(std::span<const ExampleRecord> records, std::size_t layer) {
    std::vector<BandNorms> bands(records.front().layers[layer].bands.size());
    const auto root_mean_square = [&](std::size_t band, double BandNorms::* which) {
        double sum = 0.0;
        for (const ExampleRecord& record : records) {
            const double norm = record.layers[layer].bands[band].*which;
            sum += norm * norm;
        }
        return std::sqrt(sum / static_cast<double>(records.size()));
    };
    for (std::size_t i = 0; i < bands.size(); ++i) {
        bands[i] = {.query = root_mean_square(i, &BandNorms::query),
                    .key = root_mean_square(i, &BandNorms::key),
                    .value = root_mean_square(i, &BandNorms::value),
                    .output = root_mean_square(i, &BandNorms::output)};
    }
    return bands;
}

template <class MakeBinned>
std::vector<Binned> bin_each(std::span<const ExampleRecord> records,
                             const MakeBinned& make_binned) {
    std::vector<Binned> all;
    for (const ExampleRecord& record : records) {
        all.push_back(make_binned(record));
    }
    return all;
}

LayerLocality layer_locality(std::span<const ExampleRecord> records,
                             std::size_t layer,
                             const std::vector<DistanceBin>& bins,
                             const eval::BootstrapOptions& bootstrap) {
    LayerLocality result{.layer = records.front().layers[layer].layer};
    const auto over_heads = bin_each(records, [&](const ExampleRecord& record) {
        return mean_over_heads(record.layers[layer]);
    });
    result.curve = CurveMaker({over_heads}, bins, mean_of_parts).make_with_intervals(bootstrap);
    for (std::size_t head = 0; head < records.front().layers[layer].sums.size(); ++head) {
        const auto of_head = bin_each(records, [&](const ExampleRecord& record) {
            return Binned{.sums = record.layers[layer].sums[head],
                          .pairs = record.layers[layer].pairs};
        });
        result.heads.push_back(CurveMaker({of_head}, bins, mean_of_parts).make());
    }
    result.bands = mean_bands(records, layer);
    return result;
}

}  // namespace

Locality summarise(std::span<const ExampleRecord> records,
                   const eval::BootstrapOptions& bootstrap) {
    check_alike(records);
    Locality result{.examples = records.size()};
    std::size_t longest = 0;
    for (const ExampleRecord& record : records) {
        result.tokens += record.tokens;
        result.predictions += record.predictions;
        result.loss += record.loss / static_cast<double>(records.size());
        longest = std::max(longest, record.tokens);
    }
    const std::vector<DistanceBin> bins = distance_bins(longest);
    std::vector<std::vector<Binned>> layers;
    for (std::size_t layer = 0; layer < records.front().layers.size(); ++layer) {
        result.layers.push_back(layer_locality(records, layer, bins, bootstrap));
        layers.push_back(bin_each(records, [&](const ExampleRecord& record) {
            return mean_over_heads(record.layers[layer]);
        }));
    }
    result.curve =
        CurveMaker(std::move(layers), bins, mean_of_parts).make_with_intervals(bootstrap);
    if (std::ranges::all_of(records, [](const ExampleRecord& record) {
            return !record.correlation_sums.empty();
        })) {
        const auto correlations = bin_each(records, [](const ExampleRecord& record) {
            return Binned{.sums = record.correlation_sums, .pairs = record.correlation_pairs};
        });
        result.correlation =
            CurveMaker({correlations}, bins, relative_to_first).make_with_intervals(bootstrap);
    }
    return result;
}

}  // namespace anamnesis::analysis
