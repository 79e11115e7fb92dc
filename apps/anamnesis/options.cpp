// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "option_declarations.hpp"

namespace anamnesis::app {

void declare(CLI::App& app, CommonOptions& options) {
    app.add_flag("--json", options.json, "Print the result as JSON");
    app.add_flag("-q,--quiet", options.quiet, "Print errors only");
    app.add_option("--threads", options.threads, "Threads (default: all cores)")
        ->check(CLI::Range(1U, 1024U));
}

void declare(CLI::App& app, ReadingOptions& options) {
    app.add_option(
        "--family", options.family, "Architecture family, where config.json does not tell");
    app.add_option("--routing",
                   options.routing,
                   "Routing map for a family of your own (docs/routing-file.md)");
    app.add_option("--config", options.config, "A config.json for weights that have none");
}

namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 done, 1 the answer is no, 2 usage, 3 not found, 4 malformed file,\n"
    "5 unsupported, 6 inputs do not fit, 7 input/output, 8 no space, 9 not a number, 130 "
    "interrupted.";

void declare(CLI::App& app, SelectionOptions& options) {
    app.add_option("--method",
                   options.method,
                   "qk: W_Q, W_K of pre (default); q, k, v: that one alone; pro: QK-Pro; lerp: "
                   "post + alpha (pre - post); align: pre rotated onto post's gauge")
        ->check(CLI::IsMember({"qk", "q", "k", "v", "pro", "lerp", "align"}))
        ->default_str("qk");
    app.add_option("--groups",
                   options.groups,
                   "Restore whole tensor groups instead of a method: a list of q,k,v,o,gate,latent,"
                   "mlp,mixer,norms,embedding,head,other");
    app.add_option("--layers", options.layers, "Only these layers: 3,7,11-15");
    app.add_option("--heads",
                   options.heads,
                   "Only these key-value heads, with the query heads that share them: 0,2");
    app.add_flag("--no-bias", options.no_bias, "Leave the biases of the projections as they are");
    app.add_flag("--include-sliding", options.include_sliding, "Sliding-window layers too");
    app.add_flag("--include-mtp", options.include_mtp, "Draft heads (mtp.*) too");
    app.add_flag("--include-norms", options.include_norms, "Gains of QK-norm too");
    app.add_flag("--include-adapters", options.include_adapters, "Adapters of shared blocks too");
    app.add_option("--lambda-rel",
                   options.lambda_relative,
                   "QK-Pro: strength relative to trace(G)/head_dim; a list gives one output each "
                   "(default 1)")
        ->delimiter(',');
    app.add_option("--lambda", options.lambda_absolute, "QK-Pro: absolute strength")
        ->delimiter(',');
    app.add_option("--metric", options.metric, "QK-Pro: gram (the paper's, default), rope or gain")
        ->check(CLI::IsMember({"gram", "rope", "gain"}));
    app.add_option("--alpha", options.alpha, "lerp: share of pre, 0 to 1 (default 0.5)")
        ->check(CLI::Range(0.0, 1.0));
    app.add_option(
           "--allow", options.allow, "Go on in spite of: family, heads, position, swapped, links")
        ->delimiter(',')
        ->check(CLI::IsMember({"family", "heads", "position", "swapped", "links"}));
}

bool has_selection(const CLI::App& app) {
    for (const char* name : {"--method",
                             "--groups",
                             "--layers",
                             "--heads",
                             "--no-bias",
                             "--include-sliding",
                             "--include-mtp",
                             "--include-norms",
                             "--include-adapters",
                             "--lambda-rel",
                             "--lambda",
                             "--metric",
                             "--alpha"}) {
        if (app.count(name) > 0) {
            return true;
        }
    }
    return false;
}

/// "unknown option '--lerp'; did you mean '--help'?" instead of the library's words.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    std::string text = error.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
        std::vector<std::string> known;
        for (const CLI::Option* option : app.get_options()) {
            known.push_back(option->get_name());
        }
        for (const CLI::App* verb : app.get_subcommands({})) {
            known.push_back(verb->get_name());
        }
        const auto extras = app.remaining(true);
        const std::string word = extras.empty() ? std::string() : extras.front();
        text = format("{} is not understood", in_quotes(word));
        if (const auto nearest = find_nearest(word, known)) {
            text += format("; did you mean {}?", *nearest);
        }
    }
    for (char& c : text) {
        c = c == '\n' ? ' ' : c;
    }
    return text;
}

/// A verb and the options it fills.
struct Verb {
    template <class Options>
    Verb(const CLI::App* verb, const Options* options)
        : app(verb), invocation([options] { return Invocation(*options); }) {}

    const CLI::App* app;
    std::function<Invocation()> invocation;
};

Invocation chosen_of(std::initializer_list<Verb> verbs) {
    for (const Verb& verb : verbs) {
        if (verb.app->parsed()) {
            return verb.invocation();
        }
    }
    throw Error(ErrorKind::internal, "a verb was read that nobody knows");
}

}  // namespace

Invocation parse_command_line(int argc, char** argv) {
    CLI::App app("Diagnose and repair attention amnesia in hybrid language models.", "anamnesis");
    app.set_version_flag("--version", std::string("anamnesis ") + ANAMNESIS_VERSION);
    app.footer(exit_codes);
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);

    InspectOptions inspect;
    CLI::App* verb_inspect =
        app.add_subcommand("inspect", "Say what a checkpoint is and which rows are W_Q and W_K");
    verb_inspect->add_option("checkpoint", inspect.checkpoint, "Folder or .safetensors file")
        ->required();
    verb_inspect->add_flag("--tensors", inspect.all_tensors, "List every tensor with its group");
    declare(*verb_inspect, inspect.reading);
    declare(*verb_inspect, inspect.common);

    DriftOptions drift;
    CLI::App* verb_drift =
        app.add_subcommand("drift", "Measure how far a fine-tune moved each group, layer and head");
    verb_drift->add_option("--pre", drift.pre, "Checkpoint before the fine-tune")->required();
    verb_drift->add_option("--post", drift.post, "Checkpoint after it")->required();
    verb_drift->add_option("--html", drift.html, "Write a page with heat maps");
    verb_drift->add_flag("--include-sliding", drift.include_sliding, "Heads of sliding layers too");
    verb_drift->add_flag("--include-mtp", drift.include_mtp, "Heads of draft layers too");
    verb_drift->add_option("--limit",
                           drift.limit,
                           "Exit 1 where the drift of W_Q or W_K of a softmax layer is above this");
    declare(*verb_drift, drift.reading);
    declare(*verb_drift, drift.common);

    RestoreOptions restore;
    CLI::App* verb_restore = app.add_subcommand("restore", "Put the routing of pre back into post");
    verb_restore->add_option("--pre", restore.pre, "Checkpoint before the fine-tune")->required();
    verb_restore->add_option("--post", restore.post, "Checkpoint after it")->required();
    auto* destination = verb_restore->add_option_group("destination", "Where the repair goes");
    destination->add_option(
        "--out", restore.out, "A new folder (or .safetensors file, where post is one)");
    destination->add_flag("--in-place",
                          restore.in_place,
                          "Rewrite the changed rows of post itself; 'undo' brings them back");
    destination->add_option(
        "--patch", restore.patch, "A small file with the new rows, for 'apply' elsewhere");
    destination->require_option(0, 1);
    declare(*verb_restore, restore.selection);
    verb_restore->add_flag(
        "--link", restore.link, "Share unchanged files with post (reflink or hard link)");
    verb_restore->add_flag("--model-card", restore.model_card, "Append a section to README.md");
    verb_restore->add_flag("--no-sync",
                           restore.no_sync,
                           "Do not wait for the disk (a power cut may then cost the output)");
    verb_restore->add_flag("--dry-run", restore.dry_run, "Print the plan and write nothing");
    declare(*verb_restore, restore.reading);
    declare(*verb_restore, restore.common);

    VerifyOptions verify;
    CLI::App* verb_verify =
        app.add_subcommand("verify", "Prove from the bytes which rows of a repair come from where");
    verb_verify->add_option("--pre", verify.pre, "Checkpoint before the fine-tune")->required();
    verb_verify->add_option("--post", verify.post, "Checkpoint after it")->required();
    verb_verify->add_option("--repaired", verify.repaired, "The repaired checkpoint")->required();
    declare(*verb_verify, verify.selection);
    declare(*verb_verify, verify.reading);
    declare(*verb_verify, verify.common);

    UndoOptions undo;
    CLI::App* verb_undo = app.add_subcommand("undo", "Bring back every byte of a repair in place");
    verb_undo->add_option("checkpoint", undo.checkpoint, "Folder that was repaired")->required();
    declare(*verb_undo, undo.common);

    ApplyOptions apply;
    CLI::App* verb_apply = app.add_subcommand("apply", "Apply a patch of 'restore --patch'");
    verb_apply->add_option("patch", apply.patch, "The patch")->required();
    verb_apply->add_option("--to", apply.to, "The checkpoint that the patch was made for")
        ->required();
    verb_apply->add_option("--out", apply.out, "Write a new folder (default: repair in place)");
    verb_apply->add_flag("--link", apply.link, "With --out: share unchanged files");
    verb_apply->add_flag("--no-sync", apply.no_sync, "With --out: do not wait for the disk");
    verb_apply->add_flag(
        "--allow-links", apply.allow_links, "In place also through links and on hard-linked files");
    declare(*verb_apply, apply.common);

    ExampleOptions example;
    CLI::App* verb_example =
        app.add_subcommand("example", "Write a small pair of checkpoints to try the verbs on");
    verb_example->add_option("folder", example.folder, "Where pre/ and post/ go")->required();
    declare(*verb_example, example.common);

    GradeOptions grade;
    const CLI::App* verb_grade = declare_verb(app, grade);
    GenerateOptions generate;
    const CLI::App* verb_generate = declare_verb(app, generate);
    LogitsOptions logits;
    const CLI::App* verb_logits = declare_verb(app, logits);
    TrainOptions train;
    const CLI::App* verb_train = declare_verb(app, train);
    ProbeOptions probe;
    const CLI::App* verb_probe = declare_verb(app, probe);
    ReproduceOptions reproduce;
    const CLI::App* verb_reproduce = declare_verb(app, reproduce);
    DemoOptions demo;
    const CLI::App* verb_demo = declare_verb(app, demo);
    PromptsOptions prompts;
    const CLI::App* verb_prompts = declare_verb(app, prompts);
    NiahOptions niah;
    const CLI::App* verb_niah = declare_verb(app, niah);
    ReasonOptions reason;
    const CLI::App* verb_reason = declare_verb(app, reason);
    ReportOptions report;
    const CLI::App* verb_report = declare_verb(app, report);
    GradientsOptions gradients;
    const CLI::App* verb_gradients = declare_verb(app, gradients);
    AttentionOptions attention;
    const CLI::App* verb_attention = declare_verb(app, attention);

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return PrintText{app.help()};
    } catch (const CLI::CallForAllHelp&) {
        return PrintText{app.help("", CLI::AppFormatMode::All)};
    } catch (const CLI::CallForVersion&) {
        return PrintText{app.version() + "\n"};
    } catch (const CLI::ParseError& error) {
        const auto chosen = app.get_subcommands();
        const CLI::App& nearest = chosen.empty() ? app : *chosen.front();
        throw Error(ErrorKind::usage,
                    format("{} (see 'anamnesis{} --help')",
                           explain(nearest, error),
                           chosen.empty() ? std::string() : " " + nearest.get_name()));
    }
    restore.selection.has_selection = has_selection(*verb_restore);
    verify.selection.has_selection = has_selection(*verb_verify);
    return chosen_of(
        {{verb_inspect, &inspect},     {verb_drift, &drift},       {verb_restore, &restore},
         {verb_verify, &verify},       {verb_undo, &undo},         {verb_apply, &apply},
         {verb_example, &example},     {verb_generate, &generate}, {verb_logits, &logits},
         {verb_train, &train},         {verb_probe, &probe},       {verb_reproduce, &reproduce},
         {verb_demo, &demo},           {verb_prompts, &prompts},   {verb_niah, &niah},
         {verb_reason, &reason},       {verb_report, &report},     {verb_gradients, &gradients},
         {verb_attention, &attention}, {verb_grade, &grade}});
}

}  // namespace anamnesis::app
