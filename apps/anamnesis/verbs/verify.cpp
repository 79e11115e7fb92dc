// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <filesystem>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/moment_folder.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify_adapter.hpp"

#include "execution.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/reading.hpp"
#include "options/selection.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct VerifyOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    SelectionOptions selection{};
    std::string pre{};
    std::string post{};
    std::string adapter{};
    std::string repaired{};
    std::string moments{};
    bool is_as_peft = false;
    bool compares_weights_only = false;

    restore::VerifyScope scope() const {
        return compares_weights_only ? restore::VerifyScope::weights : restore::VerifyScope::folder;
    }
};

void declare(CLI::App& app, VerifyOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    auto* post =
        required.option("--post", options.post, "The checkpoint or LoRA adapter after it.");
    required.option("--adapter", options.adapter, "The same as --post, of a merged adapter.")
        ->excludes(post);
    required.option("--repaired", options.repaired, "The repaired checkpoint or adapter.")
        ->required();
    options.selection.declare(app);
    OptionGroup(app, "Proof of --method fit")
        .option("--moments",
                options.moments,
                "The moments of the calibration, a file or the folder of 'restore --moments': the "
                "fitted rows are computed again.");
    OptionGroup compared(app, "What is compared");
    compared.flag(
        "--weights-only",
        options.compares_weights_only,
        "Compare tensors alone, whatever they are called and whatever lies beside them: for a "
        "repair that another library has saved again.");
    compared.flag("--as-peft", options.is_as_peft, "A merge is rounded as PEFT rounds.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

/// What to prove: the options, or, where none was given, what the receipt claims.
struct Claim {
    restore::Request request;
    restore::MergeRounding rounding = restore::MergeRounding::once;
    std::string origin;
};

Claim find_claim(const VerifyOptions& options, const std::filesystem::path& receipt) {
    if (!options.selection.is_given() && std::filesystem::exists(receipt)) {
        return in_context([&] { return format("reading {}", receipt.string()); },
                          [&] {
                              const Json json = Json::parse(io::read_text(receipt));
                              Claim claim{restore::request_from_json(json.at("request")),
                                          restore::find_rounding(json),
                                          "the receipt"};
                              if (!options.selection.importance().empty()) {
                                  claim.request.importance = options.selection.importance();
                              }
                              return claim;
                          });
    }
    return {options.selection.make_request(),
            options.is_as_peft ? restore::MergeRounding::peft : restore::MergeRounding::once,
            "the command line"};
}

/// Null where none are given.
std::shared_ptr<const restore::MomentSource> open_moments(const std::string& path,
                                                          const restore::Request& request) {
    if (path.empty()) {
        return nullptr;
    }
    if (request.selection.method != restore::Method::fit) {
        throw Error(ErrorKind::usage,
                    format("--moments proves --method fit, and the claim is {}",
                           restore::to_string(request.selection.method)));
    }
    return std::make_shared<const restore::MomentFile>(
        restore::MomentFile::open(restore::find_moments(path, request.fit)));
}

int print(const restore::Verification& result,
          const Claim& claim,
          const VerifyOptions& options,
          Terminal& terminal) {
    report_findings(result.findings, options.reading, terminal);
    if (options.common.json) {
        terminal.result(restore::to_json(result, claim.request, claim.origin).dump(2) + "\n");
        return result.is_proven() ? 0 : 1;
    }
    if (!terminal.is_quiet()) {
        terminal.result(make_verdict_table(result));
    }
    for (const std::string& note : result.notes) {
        terminal.say(format("note: {}", note));
    }
    for (const std::string& deviation : result.deviations) {
        terminal.result(format("deviation: {}\n", deviation));
    }
    terminal.say(describe_verdict(result, claim.request, claim.origin));
    return result.is_proven() ? 0 : 1;
}

/// A repaired adapter, or a checkpoint that one was merged into.
int verify_of_adapter(const std::string& post,
                      const VerifyOptions& options,
                      Terminal& terminal,
                      const Watch& watch) {
    const restore::Execution execution = make_execution(options.common, watch);
    if (checkpoint::is_adapter(options.repaired)) {
        const checkpoint::Adapter repaired = checkpoint::open_adapter(options.repaired);
        const Claim claim = find_claim(options, repaired.folder() / restore::receipt_name);
        const auto pair = open_adapter_pair(options.pre, post, options.reading, claim.request);
        return print(restore::verify_adapter(pair.match, repaired, claim.request, execution),
                     claim,
                     options,
                     terminal);
    }
    const checkpoint::RecognisedCheckpoint merged =
        open_checkpoint(options.repaired, options.reading, checkpoint::Missing::warn);
    const Claim claim = find_claim(options, restore::find_receipt(merged.checkpoint));
    const auto pair = open_adapter_pair(options.pre, post, options.reading, claim.request);
    return print(restore::verify_merge(
                     pair.match, merged, claim.request, claim.rounding, options.scope(), execution),
                 claim,
                 options,
                 terminal);
}

int run(const VerifyOptions& options, Terminal& terminal, const Watch& watch) {
    const std::string& post_path = options.adapter.empty() ? options.post : options.adapter;
    if (post_path.empty()) {
        throw Error(ErrorKind::usage, "verify needs --post, or --adapter for a merged adapter");
    }
    if (!options.adapter.empty() || checkpoint::is_adapter(post_path)) {
        return verify_of_adapter(post_path, options, terminal, watch);
    }
    const checkpoint::RecognisedCheckpoint pre = open_checkpoint(options.pre, options.reading);
    const checkpoint::RecognisedCheckpoint post = open_checkpoint(post_path, options.reading);
    const checkpoint::RecognisedCheckpoint repaired =
        open_checkpoint(options.repaired, options.reading, checkpoint::Missing::warn);
    const Claim claim = find_claim(options, restore::find_receipt(repaired.checkpoint));
    const auto moments = open_moments(options.moments, claim.request);
    return print(restore::verify(pre,
                                 post,
                                 repaired,
                                 claim.request,
                                 options.scope(),
                                 make_execution(options.common, watch),
                                 moments.get()),
                 claim,
                 options,
                 terminal);
}

}  // namespace

Action add_verify(CLI::App& app) {
    return make_action<VerifyOptions>(app, declare, run);
}

}  // namespace anamnesis::app
