// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/moment_folder.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

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
    std::string repaired{};
    std::string moments{};
    bool compares_weights_only = false;
};

void declare(CLI::App& app, VerifyOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    required.option("--post", options.post, "The checkpoint after it.")->required();
    required.option("--repaired", options.repaired, "The repaired checkpoint.")->required();
    options.selection.declare(app);
    OptionGroup(app, "Proof of --method fit")
        .option("--moments",
                options.moments,
                "The moments of the calibration, a file or the folder of 'restore --moments': the "
                "fitted rows are computed again.");
    OptionGroup(app, "What is compared")
        .flag(
            "--weights-only",
            options.compares_weights_only,
            "Compare tensors alone, whatever they are called and whatever lies beside them: for a "
            "repair that another library has saved again.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

/// What to prove: the options, or, where none was given, what the receipt claims.
struct Claim {
    restore::Request request;
    std::string origin;
};

Claim find_claim(const VerifyOptions& options, const checkpoint::RecognisedCheckpoint& repaired) {
    const auto receipt = restore::find_receipt(repaired.checkpoint);
    if (!options.selection.is_given() && std::filesystem::exists(receipt)) {
        return in_context([&] { return format("reading {}", receipt.string()); },
                          [&] {
                              const Json json = Json::parse(io::read_text(receipt));
                              Claim claim{restore::request_from_json(json.at("request")),
                                          "the receipt"};
                              if (!options.selection.importance().empty()) {
                                  claim.request.importance = options.selection.importance();
                              }
                              return claim;
                          });
    }
    return {options.selection.make_request(), "the command line"};
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

int run(const VerifyOptions& options, Terminal& terminal, const Watch& watch) {
    const checkpoint::RecognisedCheckpoint pre = open_checkpoint(options.pre, options.reading);
    const checkpoint::RecognisedCheckpoint post = open_checkpoint(options.post, options.reading);
    const checkpoint::RecognisedCheckpoint repaired =
        open_checkpoint(options.repaired, options.reading, checkpoint::Missing::warn);
    const Claim claim = find_claim(options, repaired);
    const auto moments = open_moments(options.moments, claim.request);
    const restore::Verification result =
        restore::verify(pre,
                        post,
                        repaired,
                        claim.request,
                        options.compares_weights_only ? restore::VerifyScope::weights
                                                      : restore::VerifyScope::folder,
                        make_execution(options.common, watch),
                        moments.get());
    report_findings(result.findings, options.reading, terminal);
    if (options.common.json) {
        terminal.result(restore::to_json(result, claim.request, claim.origin).dump(2) + "\n");
        return result.is_proven() ? 0 : 1;
    }
    std::vector<std::vector<std::string>> rows;
    for (const restore::TensorVerdict& verdict : result.tensors) {
        rows.push_back({verdict.name,
                        format("{}", verdict.rows),
                        format("{}", verdict.rows_from_pre),
                        format("{}", verdict.rows_from_post),
                        format("{}", verdict.rows_computed)});
    }
    if (!terminal.is_quiet()) {
        terminal.result(
            report::text_table({"tensor", ">rows", ">from pre", ">from post", ">computed"}, rows));
    }
    for (const std::string& note : result.notes) {
        terminal.say(format("note: {}", note));
    }
    for (const std::string& deviation : result.deviations) {
        terminal.result(format("deviation: {}\n", deviation));
    }
    terminal.say(format("{}: {} tensors, {} compared with method {} of {}",
                        result.is_proven() ? "proven" : "NOT proven",
                        result.tensors_compared,
                        human_bytes(result.bytes_compared),
                        restore::to_string(claim.request.selection.method),
                        claim.origin));
    return result.is_proven() ? 0 : 1;
}

}  // namespace

Action add_verify(CLI::App& app) {
    return make_action<VerifyOptions>(app, declare, run);
}

}  // namespace anamnesis::app
