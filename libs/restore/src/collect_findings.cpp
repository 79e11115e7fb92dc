// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/pair_findings.hpp"
#include "anamnesis/restore/plan.hpp"

#include "scale_values.hpp"

namespace anamnesis::restore {

std::vector<checkpoint::Finding> collect_findings(const RecognisedCheckpoint& pre,
                                                  const RecognisedCheckpoint& post) {
    std::vector<checkpoint::Finding> all;
    const auto add_side = [&](const RecognisedCheckpoint& source, const char* side) {
        append_findings(all, source.findings(), side);
        std::vector<checkpoint::Finding> of_scales;
        find_scale_values(source, ScaledTensors::attention, of_scales);
        append_findings(all, of_scales, side);
    };
    add_side(pre, "pre");
    add_side(post, "post");
    append_findings(all, find_pair_findings(pre, post), "pair");
    return all;
}

}  // namespace anamnesis::restore
