// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/analysis/logit_gradients.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::analysis {

/// Bands of the projections' gradients: each eight times as wide as the one before.
const std::vector<DistanceBand>& distance_bands();
/// "128 to 1023", "8192 and more".
std::string to_string(const DistanceBand& band);

struct GradientFindings {
    struct DataSet {
        std::string name;
        Locality locality;
    };
    std::string model;
    Json settings;
    std::vector<DataSet> data;
};

Json to_json(const GradientFindings& findings);
report::Document to_document(const GradientFindings& findings);
/// The decay lengths as lines for a terminal.
std::string to_text(const GradientFindings& findings);

/// Writes report.html, summary.md and summary.json.
void write_reports(const GradientFindings& findings, const std::filesystem::path& folder);

}  // namespace anamnesis::analysis
