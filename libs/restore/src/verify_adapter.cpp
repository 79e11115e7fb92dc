// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify_adapter.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/request.hpp"

#include "adapter_truth.hpp"
#include "expected_rows.hpp"
#include "verify_adapter_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::MatchedModule;
using checkpoint::MatchedSaved;
using checkpoint::RowRange;
using checkpoint::TensorEntry;
using linalg::Matrix;
using Kind = RowOrigin::Kind;

/// Which part of a pair a tensor is.
enum class Part : std::uint8_t { a, b, bias, magnitude, saved };

class AdapterCheck {
public:
    AdapterCheck(const checkpoint::AdapterMatch& match,
                 const checkpoint::Adapter& repaired,
                 const Request& request,
                 const MomentSource* moments,
                 Verification& result)
        : repaired_(repaired),
          request_(request),
          moments_(moments),
          truth_(match, request),
          expectations_(*match.base, *match.base, request),
          result_(result) {}

    void check(const MatchedModule& module) {
        if (request_.selection.method == Method::fit) {
            check_fitted(module);
            return;
        }
        const std::uint64_t rows = module.weight->rows();
        const std::vector<Kind> weight = list_kinds(*module.weight);
        const std::vector<Kind> bias = module.module->bias == nullptr ? weight
                                       : module.bias != nullptr       ? list_kinds(*module.bias)
                                       : request_.selection.has_biases
                                           ? weight
                                           : std::vector<Kind>(rows, Kind::post);
        const auto is_restored = [](Kind kind) { return kind == Kind::pre; };
        const bool leaves =
            std::ranges::all_of(weight, is_restored) && std::ranges::all_of(bias, is_restored);
        const std::vector<Kind> untouched(module.module->a->rows(), Kind::post);
        check_part(module.module->a, leaves, untouched, {.module = &module, .part = Part::a});
        // Rows of an embedding are columns of its A.
        check_part(module.module->b,
                   leaves,
                   module.module->is_embedding
                       ? std::vector<Kind>(module.module->b->rows(), Kind::post)
                       : weight,
                   {.module = &module, .part = Part::b});
        check_part(module.module->bias, leaves, bias, {.module = &module, .part = Part::bias});
        check_part(
            module.module->magnitude, leaves, weight, {.module = &module, .part = Part::magnitude});
    }

    void check(const MatchedSaved& saved) {
        const std::vector<Kind> base = list_kinds(*saved.base);
        std::vector<Kind> kinds = base;
        if (saved.saved->rows) {
            kinds.clear();
            for (const std::uint64_t row : *saved.saved->rows) {
                kinds.push_back(base[row]);
            }
        }
        check_part(saved.saved->tensor, false, kinds, {.saved = &saved, .part = Part::saved});
    }

    /// Tensors that no repair takes: all that were not checked before.
    void check_rest(const checkpoint::Adapter& post) {
        for (const TensorEntry& tensor : post.weights.tensors()) {
            if (!checked_.contains(&tensor)) {
                const std::vector<Kind> untouched(tensor.rows(), Kind::post);
                check_part(&tensor, false, untouched, {.part = Part::a});
            }
        }
    }

private:
    struct Place {
        const MatchedModule* module = nullptr;
        const MatchedSaved* saved = nullptr;
        Part part = Part::a;
    };

    /// Of a module that is fitted A alone changes, as a whole.
    void check_fitted(const MatchedModule& module) {
        const std::vector<Kind> rows = list_kinds(*module.weight);
        const bool is_fitted = std::ranges::find(rows, Kind::computed) != rows.end();
        const auto check_whole = [&](const TensorEntry* tensor, Kind kind, Part part) {
            if (tensor != nullptr) {
                const std::vector<Kind> kinds(tensor->rows(), kind);
                check_part(tensor, false, kinds, {.module = &module, .part = part});
            }
        };
        check_whole(module.module->a, is_fitted ? Kind::computed : Kind::post, Part::a);
        check_whole(module.module->b, Kind::post, Part::b);
        check_whole(module.module->bias, Kind::post, Part::bias);
        check_whole(module.module->magnitude, Kind::post, Part::magnitude);
    }

    void check_factor(const TensorEntry& before,
                      const TensorEntry& now,
                      TensorVerdict& verdict,
                      std::vector<std::uint32_t>& wrong) const {
        const auto wanted = truth_.fit(before, *moments_);
        if (!wanted) {
            return;
        }
        verdict.rows_recomputed += now.rows();
        const Matrix found = read_rows(now, {.begin = 0, .end = now.rows()});
        const double reach = linalg::frobenius_norm(wanted->view()) * 0x1p-30;
        for (std::size_t i = 0; i < found.rows(); ++i) {
            if (!is_rounding_of(
                    now.dtype, found.view().row(i), wanted->view().row(i), 0.5, reach)) {
                wrong.push_back(static_cast<std::uint32_t>(i));
            }
        }
    }

    std::vector<Kind> list_kinds(const TensorEntry& base) const {
        std::vector<Kind> kinds(base.rows(), Kind::post);
        const ExpectedRows expected = expectations_.find(base);
        const bool is_all_of_pre =
            request_.selection.method == Method::lerp && request_.alpha == 1.0;
        for (std::size_t row = 0; row < expected.rows.size(); ++row) {
            const Kind kind = expected.rows[row].kind;
            kinds[row] = kind == Kind::computed && is_all_of_pre ? Kind::pre : kind;
        }
        return kinds;
    }

    void check_part(const TensorEntry* tensor,
                    bool leaves,
                    const std::vector<Kind>& kinds,
                    const Place& place) {
        if (tensor == nullptr) {
            return;
        }
        checked_.insert(tensor);
        ++result_.tensors_compared;
        result_.bytes_compared += tensor->bytes;
        const TensorEntry* now = repaired_.weights.find(tensor->name);
        TensorVerdict verdict{.name = tensor->name, .rows = tensor->rows()};
        if (leaves) {
            verdict.rows_from_pre = verdict.rows;
            if (now != nullptr) {
                deviate(format("tensor {} should have left the adapter and is there",
                               in_quotes(tensor->name)));
            }
        } else if (now == nullptr || now->dtype != tensor->dtype || now->shape != tensor->shape) {
            deviate(format("tensor {} of the adapter is missing or has another type or shape",
                           in_quotes(tensor->name)));
            return;
        } else {
            compare(*tensor, *now, kinds, place, verdict);
        }
        result_.rows_from_pre += verdict.rows_from_pre;
        result_.rows_from_post += verdict.rows_from_post;
        result_.rows_computed += verdict.rows_computed;
        result_.rows_recomputed += verdict.rows_recomputed;
        if (verdict.rows_from_pre + verdict.rows_computed > 0) {
            result_.tensors.push_back(std::move(verdict));
        }
    }

    void compare(const TensorEntry& before,
                 const TensorEntry& now,
                 const std::vector<Kind>& kinds,
                 const Place& place,
                 TensorVerdict& verdict) {
        std::vector<std::uint32_t> wrong;
        for (std::uint64_t row = 0; row < kinds.size(); ++row) {
            const RowRange range{.begin = row, .end = row + 1};
            bool is_right = true;
            if (kinds[row] == Kind::post) {
                ++verdict.rows_from_post;
                is_right = read_bytes(before, row) == read_bytes(now, row);
            } else if (kinds[row] == Kind::pre) {
                ++verdict.rows_from_pre;
                is_right = is_base_row(now, row, place);
            } else {
                ++verdict.rows_computed;
                if (request_.selection.method == Method::lerp) {
                    ++verdict.rows_recomputed;
                    is_right = is_weakened(before, now, range, place);
                }
            }
            if (!is_right) {
                wrong.push_back(static_cast<std::uint32_t>(row));
            }
        }
        if (request_.selection.method == Method::pro && place.part != Part::a) {
            check_heads(before, now, place, verdict, wrong);
        }
        if (request_.selection.method == Method::fit && moments_ != nullptr &&
            verdict.rows_computed > 0) {
            check_factor(before, now, verdict, wrong);
        }
        if (!wrong.empty()) {
            deviate(format("tensor {}: {} rows are not what this repair makes of them: {}",
                           in_quotes(before.name),
                           wrong.size(),
                           compact_list(wrong).substr(0, 100)));
        }
    }

    static std::vector<std::byte> read_bytes(const TensorEntry& tensor, std::uint64_t row) {
        std::vector<std::byte> bytes(tensor.row_bytes());
        tensor.read_at(row * bytes.size(), bytes);
        return bytes;
    }

    static std::uint64_t find_base_row(const MatchedSaved& saved, std::uint64_t row) {
        return saved.saved->rows ? (*saved.saved->rows)[row] : row;
    }

    /// B adds nothing, a magnitude is the base's norm, a saved row is the base's.
    static bool is_base_row(const TensorEntry& now, std::uint64_t row, const Place& place) {
        const std::vector<std::byte> bytes = read_bytes(now, row);
        if (place.part == Part::saved) {
            const TensorEntry& base = *place.saved->base;
            const auto wanted = read_bytes(base, find_base_row(*place.saved, row));
            std::vector<std::byte> converted(bytes.size());
            convert(base.dtype, wanted, now.dtype, converted);
            return bytes == converted;
        }
        if (place.part == Part::magnitude) {
            const RowRange range{.begin = row, .end = row + 1};
            const Matrix base = read_rows(*place.module->weight, range);
            const double norm = linalg::frobenius_norm(base.view());
            const Matrix found = read_rows(now, range);
            return is_rounding_of(
                now.dtype, found.values(), std::span(&norm, 1), 0.5, norm * 0x1p-40);
        }
        return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
    }

    bool is_weakened(const TensorEntry& before,
                     const TensorEntry& now,
                     RowRange range,
                     const Place& place) const {
        Matrix wanted = read_rows(before, range);
        if (place.part == Part::saved) {
            const std::uint64_t row = find_base_row(*place.saved, range.begin);
            const Matrix base = read_rows(*place.saved->base, {.begin = row, .end = row + 1});
            for (std::size_t i = 0; i < wanted.values().size(); ++i) {
                wanted.values()[i] += request_.alpha * (base.values()[i] - wanted.values()[i]);
            }
        } else {
            for (double& value : wanted.values()) {
                value *= 1.0 - request_.alpha;
            }
        }
        const double reach = linalg::frobenius_norm(wanted.view()) * 0x1p-40;
        const Matrix found = read_rows(now, range);
        return is_rounding_of(now.dtype, found.values(), wanted.values(), 0.5, reach);
    }

    void check_heads(const TensorEntry& before,
                     const TensorEntry& now,
                     const Place& place,
                     TensorVerdict& verdict,
                     std::vector<std::uint32_t>& wrong) const {
        const TensorEntry& base =
            place.part == Part::saved ? *place.saved->base : *place.module->weight;
        for (const RoutingGroup& group : truth_.groups()) {
            for (const RowRange& rows : list_heads(group, base)) {
                const Matrix post = read_rows(before, rows);
                const Matrix pre = place.part == Part::saved ? read_rows(base, rows)
                                                             : Matrix(post.rows(), post.columns());
                const auto wanted = truth_.filter(group, pre, post);
                if (!wanted) {
                    continue;
                }
                verdict.rows_recomputed += rows.size();
                const Matrix found = read_rows(now, rows);
                const double reach = linalg::frobenius_norm(post.view()) * 0x1p-36;
                for (std::size_t i = 0; i < found.rows(); ++i) {
                    if (!is_rounding_of(
                            now.dtype, found.view().row(i), wanted->view().row(i), 0.5, reach)) {
                        wrong.push_back(static_cast<std::uint32_t>(rows.begin + i));
                    }
                }
            }
        }
    }

    void deviate(std::string what) { result_.deviations.push_back(std::move(what)); }

    const checkpoint::Adapter& repaired_;
    const Request& request_;
    const MomentSource* moments_;
    AdapterTruth truth_;
    Expectations expectations_;
    Verification& result_;
    std::set<const TensorEntry*> checked_;
};

}  // namespace

Verification verify_adapter(const checkpoint::AdapterMatch& match,
                            const checkpoint::Adapter& repaired,
                            const Request& request,
                            const Execution& execution,
                            const MomentSource* moments) {
    refuse_unfit(
        match, checkpoint::AdapterUse::repair, request.allowed.contains(Allowance::residual));
    Verification result;
    append_findings(result.findings, match.base->findings(), "pre");
    append_findings(result.findings, match.findings, "post");
    AdapterCheck check(match, repaired, request, moments, result);
    for (const MatchedModule& module : match.modules) {
        execution.check();
        check.check(module);
    }
    for (const MatchedSaved& saved : match.saved) {
        execution.check();
        check.check(saved);
    }
    check.check_rest(*match.adapter);
    for (const TensorEntry& tensor : repaired.weights.tensors()) {
        if (match.adapter->weights.find(tensor.name) == nullptr) {
            result.deviations.push_back(
                format("tensor {} is in the repaired adapter only", in_quotes(tensor.name)));
        }
    }
    if (match.adapter->is_gguf()) {
        compare_keys(*match.adapter, repaired, result);
    } else {
        compare_configs(*match.adapter, repaired, result);
    }
    if (result.rows_from_pre + result.rows_computed == 0 && result.deviations.empty()) {
        result.deviations.emplace_back(
            "the adapter has no row that this method and selection repair");
    }
    if (result.rows_recomputed < result.rows_computed) {
        result.notes.push_back(
            format("{} rows hold values that --method {} computed and that are "
                   "not computed again here",
                   result.rows_computed - result.rows_recomputed,
                   to_string(request.selection.method)));
    }
    return result;
}

}  // namespace anamnesis::restore
