// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {
namespace {

Json to_json(const std::vector<std::string>& lines) {
    Json list = Json::array();
    for (const std::string& line : lines) {
        list.push_back(line);
    }
    return list;
}

}  // namespace

std::uint64_t Verification::count_unchecked() const {
    std::uint64_t count = 0;
    for (const TensorVerdict& verdict : tensors) {
        if (!verdict.is_as_written && verdict.rows_computed > verdict.rows_recomputed) {
            count += verdict.rows_computed - verdict.rows_recomputed;
        }
    }
    return count;
}

Json to_json(const Verification& result, const Request& claim, std::string_view origin) {
    Json tensors = Json::array();
    for (const TensorVerdict& verdict : result.tensors) {
        tensors.push_back(Json::Object{{"name", verdict.name},
                                       {"rows", verdict.rows},
                                       {"from_pre", verdict.rows_from_pre},
                                       {"from_post", verdict.rows_from_post},
                                       {"computed", verdict.rows_computed},
                                       {"recomputed", verdict.rows_recomputed},
                                       {"as_written", verdict.is_as_written},
                                       {"equal_in_pre_and_post", verdict.rows_equal_in_both}});
    }
    return Json::Object{{"proven", result.is_proven()},
                        {"claim", origin},
                        {"request", to_json(claim)},
                        {"tensors_compared", result.tensors_compared},
                        {"bytes_compared", result.bytes_compared},
                        {"rows_from_pre", result.rows_from_pre},
                        {"rows_from_post", result.rows_from_post},
                        {"rows_computed", result.rows_computed},
                        {"rows_recomputed", result.rows_recomputed},
                        {"rows_unchecked", result.count_unchecked()},
                        {"tensors", std::move(tensors)},
                        {"deviations", to_json(result.deviations)},
                        {"notes", to_json(result.notes)},
                        {"findings", checkpoint::to_json(result.findings)}};
}

std::string make_verdict_table(const Verification& result) {
    std::vector<std::vector<std::string>> rows;
    for (const TensorVerdict& verdict : result.tensors) {
        rows.push_back({verdict.name,
                        format("{}", verdict.rows),
                        format("{}", verdict.rows_from_pre),
                        format("{}", verdict.rows_from_post),
                        format("{}", verdict.rows_computed)});
    }
    return report::text_table({"tensor", ">rows", ">from pre", ">from post", ">computed"}, rows);
}

std::string describe_verdict(const Verification& result,
                             const Request& claim,
                             std::string_view origin) {
    const std::uint64_t unchecked = result.count_unchecked();
    const std::string proven =
        unchecked > 0 ? format("proven but for {} computed rows", unchecked) : "proven";
    return format("{}: {} tensors, {} compared with method {} of {}",
                  result.is_proven() ? proven : "NOT proven",
                  result.tensors_compared,
                  human_bytes(result.bytes_compared),
                  to_string(claim.selection.method),
                  origin);
}

}  // namespace anamnesis::restore
