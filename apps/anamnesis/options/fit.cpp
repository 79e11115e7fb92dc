// SPDX-License-Identifier: Apache-2.0
#include "options/fit.hpp"

#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/float_words.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/restore/given_fit.hpp"
#include "anamnesis/restore/request.hpp"

#include "option_group.hpp"

namespace anamnesis::app {
namespace {

constexpr const char* heading = "Calibration of --method fit";

}  // namespace

void FitOptions::declare(CLI::App& app) {
    app_ = &app;
    OptionGroup group(app, heading);
    group.option("--calibrate-recall",
                 recall,
                 "Texts with facts and questions on them, as JSON lines in the forms of 'train "
                 "--data'; the response is the fact. 'niah': RULER's prompts, made here.");
    group.option("--calibrate-chains",
                 chains,
                 "Problems with worked answers of the fine-tune's kind, in the same forms. 'own': "
                 "post answers the problems of --questions itself.");
    group.option(
        "--questions",
        questions,
        "JSON lines with a prompt, question or problem each, for chains that post writes.");
    group.option("--mu",
                 mu,
                 "The weight of chains against recall: 0 is pre, inf is post; a list gives one "
                 "output each; 'auto' takes the smallest whose held-back chains stay. Default: "
                 "0.3, with v or o 1; with rounds 0.1 and 0.3.");
    group
        .word("--keys",
              keys,
              restore::key_inputs_words,
              "What counts of W_K's inputs: attention (all tokens, by the attention that they "
              "receive) or centred (less the text's mean).")
        ->default_str("attention");
    group
        .option("--rounds", rounds, "Rounds in which chains that the repair made worse count more.")
        ->check(CLI::Range(0U, restore::most_fit_rounds));
    group.flag(
        "--scale-inputs",
        scales_inputs,
        "Give each input a ridge of its own: for models in which a few channels have most of "
        "the energy.");
    group.option("--moments",
                 moments,
                 "A folder that keeps what was summed over the texts; with it and without texts "
                 "no model runs.");
    group.option(
        "--tokenizer", tokenizer, "The folder of the tokenizer, where it is not the checkpoint's.");
    group
        .option("--dtype",
                dtype,
                "The type of weight matrices while post runs: f64, f32, bf16 or f16. Default: "
                "f32, and as stored for checkpoints of more than 4 GB.")
        ->check(CLI::IsMember(list_words(float_words)));
    group.option("--device", device, "Where post runs: cpu, cuda or cuda:N.");
}

restore::FitSettings FitOptions::make_settings(const restore::Selection& selection) const {
    restore::GivenFit given = *this;
    given.is_any = is_any_given(*app_, heading);
    given.has_keys = app_->count("--keys") > 0;
    given.has_running = !tokenizer.empty() || !dtype.empty() || device != "cpu";
    return restore::complete_fit(given, selection);
}

}  // namespace anamnesis::app
