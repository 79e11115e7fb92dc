// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/given_fit.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

void refuse_if(bool is_wrong, const char* sentence) {
    if (is_wrong) {
        throw Error(ErrorKind::usage, sentence);
    }
}

void check_together(const GivenFit& given, const Selection& selection) {
    refuse_if(given.recall.empty() != given.chains.empty(),
              "--calibrate-recall and --calibrate-chains are given together");
    refuse_if((given.chains == "own") != !given.questions.empty(),
              "--questions FILE belongs to --calibrate-chains own");
    refuse_if(!given.calibrates() && given.moments.empty(),
              "--method fit needs --calibrate-recall and --calibrate-chains, or the --moments of "
              "an earlier calibration");
    refuse_if(given.chooses_mu() && !given.calibrates(),
              "--mu auto runs post over chains; give --calibrate-recall and --calibrate-chains");
    refuse_if(given.has_running && !given.calibrates(),
              "--tokenizer, --dtype and --device say how post runs over texts; with the --moments "
              "of an earlier calibration it does not run");
    refuse_if(given.has_keys && !selection.groups.empty() &&
                  !selection.groups.contains(checkpoint::TensorGroup::k),
              "--keys says what counts of W_K's inputs, and --groups has no k");
}

}  // namespace

FitSettings complete_fit(const GivenFit& given, const Selection& selection) {
    if (selection.method != Method::fit) {
        if (given.is_any) {
            throw Error(ErrorKind::usage,
                        format("the options of a calibration belong to --method fit, and the "
                               "method is {}",
                               to_string(selection.method)));
        }
        return {};
    }
    check_together(given, selection);
    FitSettings settings{.chooses_mu = given.chooses_mu(),
                         .keys = given.keys,
                         .rounds = given.rounds,
                         .scales_inputs = given.scales_inputs};
    if (given.mu.empty() || given.chooses_mu()) {
        settings.mus = {find_default_mu(selection, given.rounds)};
    } else {
        settings.mus = parse_mus(given.mu);
    }
    return settings;
}

}  // namespace anamnesis::restore
