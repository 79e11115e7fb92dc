// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/doctor.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

std::string count_findings(const Diagnosis& diagnosis) {
    std::uint64_t errors = 0;
    std::uint64_t warnings = 0;
    for (const checkpoint::Finding& finding : diagnosis.findings) {
        errors += finding.severity == checkpoint::Severity::error ? 1U : 0U;
        warnings += finding.severity == checkpoint::Severity::warning ? 1U : 0U;
    }
    return format("{} error{}, {} warning{}",
                  errors,
                  errors == 1 ? "" : "s",
                  warnings,
                  warnings == 1 ? "" : "s");
}

std::string describe_source(const CheckpointHealth& health) {
    const checkpoint::Checkpoint& files = health.source->checkpoint;
    return format("{}  family {}, {} tensors, {}",
                  files.path().string(),
                  health.source->model.family,
                  files.tensors().size(),
                  human_bytes(files.tensor_bytes()));
}

Json to_json(const CheckpointHealth& health) {
    Json tensors = Json::array();
    for (const TensorHealth& tensor : health.tensors) {
        Json shape = Json::array();
        for (const std::uint64_t size : tensor.tensor->shape) {
            shape.push_back(size);
        }
        tensors.push_back(Json::Object{{"name", tensor.tensor->name},
                                       {"dtype", anamnesis::to_string(tensor.tensor->dtype)},
                                       {"shape", std::move(shape)},
                                       {"nans", tensor.nans},
                                       {"infinities", tensor.infinities},
                                       {"constant", tensor.is_constant},
                                       {"largest", tensor.largest},
                                       {"rms", tensor.rms}});
    }
    return Json::Object{{"path", health.source->checkpoint.path().string()},
                        {"family", health.source->model.family},
                        {"bytes", health.source->checkpoint.tensor_bytes()},
                        {"tensors", std::move(tensors)}};
}

std::vector<std::vector<std::string>> list_rows(const Diagnosis& diagnosis) {
    std::vector<std::vector<std::string>> rows;
    for (const checkpoint::Severity severity :
         {checkpoint::Severity::error, checkpoint::Severity::warning, checkpoint::Severity::note}) {
        for (const checkpoint::Finding& finding : diagnosis.findings) {
            if (finding.severity == severity) {
                rows.push_back({std::string(to_string(severity)),
                                finding.where,
                                finding.code,
                                finding.sentence,
                                finding.remedy});
            }
        }
    }
    return rows;
}

}  // namespace

Json make_diagnosis_json(const Diagnosis& diagnosis) {
    Json checkpoints = Json::array();
    for (const CheckpointHealth& health : diagnosis.checkpoints) {
        checkpoints.push_back(to_json(health));
    }
    Json methods = Json::array();
    for (const MethodVerdict& verdict : diagnosis.methods) {
        methods.push_back(Json::Object{{"method", to_string(verdict.method)},
                                       {"possible", verdict.is_possible},
                                       {"reason", verdict.reason}});
    }
    return Json::Object{{"healthy", !diagnosis.has_errors()},
                        {"checkpoints", std::move(checkpoints)},
                        {"findings", checkpoint::to_json(diagnosis.findings)},
                        {"methods", std::move(methods)},
                        {"command", diagnosis.command}};
}

report::Document make_diagnosis_document(const Diagnosis& diagnosis) {
    report::Document document;
    document.title = "Checkpoint examination";
    std::vector<std::string> sources;
    for (const CheckpointHealth& health : diagnosis.checkpoints) {
        sources.push_back(describe_source(health));
    }
    document.subtitle = join(sources, "; ");
    document.blocks.emplace_back(report::Paragraph{count_findings(diagnosis)});
    document.blocks.emplace_back(
        report::Table{.caption = "Findings",
                      .columns = {"severity", "where", "code", "what", "what to do"},
                      .is_number = {},
                      .rows = list_rows(diagnosis)});
    if (!diagnosis.methods.empty()) {
        std::vector<std::vector<std::string>> rows;
        for (const MethodVerdict& verdict : diagnosis.methods) {
            rows.push_back({std::string(to_string(verdict.method)),
                            verdict.is_possible ? "yes" : "no",
                            verdict.reason});
        }
        document.blocks.emplace_back(report::Table{.caption = "Repair",
                                                   .columns = {"method", "possible", "why not"},
                                                   .is_number = {},
                                                   .rows = std::move(rows)});
        if (!diagnosis.command.empty()) {
            document.blocks.emplace_back(report::Paragraph{diagnosis.command});
        }
    }
    for (const CheckpointHealth& health : diagnosis.checkpoints) {
        std::vector<std::vector<std::string>> rows;
        for (const TensorHealth& tensor : health.tensors) {
            rows.push_back({tensor.tensor->name,
                            std::string(anamnesis::to_string(tensor.tensor->dtype)),
                            anamnesis::to_string(tensor.tensor->shape),
                            report::short_number(tensor.rms),
                            report::short_number(tensor.largest),
                            format("{}", tensor.nans + tensor.infinities)});
        }
        document.blocks.emplace_back(report::Table{
            .caption = format("Tensors of {}", health.source->checkpoint.path().string()),
            .columns = {"tensor", "dtype", "shape", "rms", "largest", "not finite"},
            .is_number = {false, false, false, true, true, true},
            .rows = std::move(rows)});
    }
    return document;
}

std::string make_diagnosis_text(const Diagnosis& diagnosis) {
    std::string text;
    for (const CheckpointHealth& health : diagnosis.checkpoints) {
        text += describe_source(health) + "\n";
    }
    for (const auto& row : list_rows(diagnosis)) {
        text += format("{}: {}{}{}{}\n",
                       row[0],
                       row[1].empty() ? std::string() : row[1] + ": ",
                       row[3],
                       row[4].empty() ? "" : "; ",
                       row[4]);
    }
    for (const MethodVerdict& verdict : diagnosis.methods) {
        text += format(
            "method {}: {}\n",
            to_string(verdict.method),
            verdict.is_possible ? std::string("possible") : "not possible: " + verdict.reason);
    }
    text += count_findings(diagnosis) + "\n";
    if (!diagnosis.command.empty()) {
        text += format("repair with: {}\n", diagnosis.command);
    }
    return text;
}

}  // namespace anamnesis::restore
