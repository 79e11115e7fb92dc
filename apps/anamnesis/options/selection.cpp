// SPDX-License-Identifier: Apache-2.0
#include "options/selection.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/checkpoint/row_selection.hpp"
#include "anamnesis/restore/request.hpp"

#include "option_group.hpp"

namespace anamnesis::app {
namespace {

constexpr const char* rows_heading = "Which rows";
constexpr const char* pro_heading = "Strength of --method pro";
constexpr const char* lerp_heading = "Strength of --method lerp";

std::set<std::uint32_t> parse_numbers(const std::string& text, const char* option) {
    const auto list = parse_number_list(text, option);
    return {list.begin(), list.end()};
}

}  // namespace

void SelectionOptions::declare(CLI::App& app) {
    app_ = &app;
    declare_rows(app);
    declare_strengths(app);
    declare_quantising(app);
    OptionGroup(app, "Disagreements")
        .text<std::vector<std::string>>(
            "--allow",
            [this](const std::vector<std::string>& words) {
                for (const std::string& word : words) {
                    request_.allowed.insert(parse_word(restore::allowance_words, word, "--allow"));
                }
            },
            "Go on in spite of disagreements, named with commas: family, heads, position, swapped, "
            "links, unrelated, rotary, residual, prefix.")
        ->delimiter(',');
}

void SelectionOptions::declare_quantising(CLI::App& app) {
    OptionGroup group(app, "Rows that go into a file of another type (--imatrix and --via: GGUF)");
    group.option("--imatrix",
                 request_.importance,
                 "The importance matrix (GGUF) that post was quantised with.");
    group
        .word("--via",
              request_.via,
              checkpoint::gguf_via_words,
              "A 16-bit type that values pass first, as in files made by way of one.")
        ->default_str("none");
    group.flag("--exact", request_.is_exact, "Refuse rows that would have to be rounded.");
}

void SelectionOptions::declare_rows(CLI::App& app) {
    restore::Selection& selection = request_.selection;
    OptionGroup rows(app, rows_heading);
    rows.text<std::string>(
            "--method",
            [&selection](const std::string& word) {
                selection.method = parse_word(restore::method_words, word, "--method");
            },
            "How rows become the new ones. qk: W_Q and W_K of pre; q, k, v: that one alone; pro: "
            "QK-Pro; lerp: post + alpha (pre - post); align: pre rotated onto post's gauge; fit: "
            "nearest to pre on recall texts and to post on chains of thought.")
        ->default_str("qk");
    rows.text<std::string>(
        "--groups",
        [&selection](const std::string& text) {
            if (text == "all") {
                restore::take_everything(selection);
            } else {
                selection.groups = checkpoint::parse_tensor_groups(text, "--groups");
            }
        },
        "Whole tensor groups: a list of q, k, v, o, gate, latent, mlp, mixer, norms, embedding, "
        "head, other, or all. Without --method they are copied from pre; lerp and fit mix them.");
    rows.text<std::string>(
        "--layers",
        [&selection](const std::string& text) {
            selection.layers = parse_numbers(text, "--layers");
        },
        "Only these layers: 3,7,11-15.");
    rows.text<std::string>(
        "--heads",
        [&selection](const std::string& text) {
            selection.kv_heads = parse_numbers(text, "--heads");
        },
        "Only these key-value heads, with the query heads that share them: 0,2.");
    rows.negation(
        "--no-bias", selection.has_biases, "Leave the biases of the projections as they are.");
    rows.flag("--include-sliding", selection.has_sliding, "Take sliding-window layers too.");
    rows.flag("--include-mtp", selection.has_draft_heads, "Take draft heads (mtp.*) too.");
    rows.flag("--include-norms", selection.has_norms, "Take the gains of QK-norm too.");
    rows.flag("--include-adapters", selection.has_adapters, "Take adapters of shared blocks too.");
}

void SelectionOptions::declare_strengths(CLI::App& app) {
    OptionGroup strength(app, pro_heading);
    strength
        .option("--lambda-rel",
                relative_lambdas_,
                "The strength relative to trace(G) / head_dim; a list gives one output each. "
                "Default: 1.")
        ->delimiter(',');
    strength.option("--lambda", absolute_lambdas_, "The strength as it is.")->delimiter(',');
    strength
        .word("--metric",
              request_.metric,
              restore::metric_words,
              "What weighs query directions: gram (the paper's), rope or gain.")
        ->default_str("gram");
    OptionGroup(app, lerp_heading)
        .option("--alpha", request_.alpha, "The share of pre, from 0 to 1.")
        ->check(CLI::Range(0.0, 1.0));
}

bool SelectionOptions::is_given() const {
    return is_any_given(*app_, rows_heading) || is_any_given(*app_, pro_heading) ||
           is_any_given(*app_, lerp_heading);
}

restore::Request SelectionOptions::make_request() const {
    return restore::complete_request(request_,
                                     {.has_method = app_->count("--method") > 0,
                                      .has_groups = app_->count("--groups") > 0,
                                      .relative_lambdas = relative_lambdas_,
                                      .absolute_lambdas = absolute_lambdas_,
                                      .has_metric = app_->count("--metric") > 0,
                                      .has_alpha = app_->count("--alpha") > 0});
}

}  // namespace anamnesis::app
