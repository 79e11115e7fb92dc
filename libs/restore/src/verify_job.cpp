// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify_job.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/moment_folder.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/open_pair.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify_adapter.hpp"

namespace anamnesis::restore {
namespace {

struct Claim {
    Request request;
    MergeRounding rounding = MergeRounding::once;
    std::string origin;
    /// What the repair wrote, where the claim is its receipt's: digests prove no other claim.
    WrittenDigests written{};
};

/// Errors: `unsupported` for a receipt of a form that another version of the program wrote.
void check_version(const Json& receipt) {
    const Json& version = receipt.at("anamnesis_receipt");
    if (version.as_unsigned("anamnesis_receipt") != receipt_version) {
        throw Error(ErrorKind::unsupported,
                    format("the version of the receipt is {}, expected {}: verify with the version "
                           "of anamnesis that wrote it, or say what to prove by --method and the "
                           "other options",
                           version.dump(),
                           receipt_version));
    }
}

/// A receipt of a merge has none.
WrittenDigests read_written_digests(const Json& receipt) {
    WrittenDigests written;
    for (const Json& tensor : receipt.at("tensors").as_array("tensors")) {
        const Json* digests = tensor.find("sha256");
        if (const Json* repaired = digests == nullptr ? nullptr : digests->find("repaired")) {
            written.emplace(tensor.at("name").as_string("name"), repaired->as_string("repaired"));
        }
    }
    return written;
}

Claim find_claim(const VerifyJob& job, const std::filesystem::path& receipt) {
    if (!job.prefers_receipt || !std::filesystem::exists(receipt)) {
        return {job.request, job.rounding, "the command line", {}};
    }
    return in_context([&] { return format("reading {}", receipt.string()); },
                      [&] {
                          const Json json = Json::parse(io::read_text(receipt));
                          check_version(json);
                          return Claim{request_from_json(json.at("request")),
                                       find_rounding(json),
                                       "the receipt",
                                       read_written_digests(json)};
                      });
}

/// A file that is compared with itself proves nothing. Some files may be shared (`--link`), those
/// that a repair changes cannot be.
void refuse_same_files(std::string_view side,
                       const checkpoint::Checkpoint& source,
                       const checkpoint::Checkpoint& repaired) {
    const auto is_of_source = [&](const checkpoint::WeightFile& file) {
        return std::ranges::any_of(source.files(), [&](const auto& other) {
            std::error_code ignored;
            return std::filesystem::equivalent(file.path(), other.path(), ignored);
        });
    };
    if (repaired.files().empty() || !std::ranges::all_of(repaired.files(), is_of_source)) {
        return;
    }
    const std::string path = repaired.path().string();
    throw Error(
        ErrorKind::usage,
        format(
            "{} and repaired are the same files, {}, which would be proven by themselves; {}",
            side,
            in_quotes(path, 1000),
            side == "post"
                ? "give a copy of post from before the repair as --post (a repair in place keeps "
                  "the rows that it replaced alone: 'anamnesis undo' brings post back, and "
                  "'restore --out' writes a repair that can be proven)"
                : "give the repaired checkpoint as --repaired"));
}

/// Null where none are given.
std::shared_ptr<const MomentSource> open_moments(const VerifyJob& job, const Request& request) {
    if (job.moments.empty()) {
        return nullptr;
    }
    if (request.selection.method != Method::fit) {
        throw Error(ErrorKind::usage,
                    format("--moments proves --method fit, and the claim is {}",
                           to_string(request.selection.method)));
    }
    return std::make_shared<const MomentFile>(
        MomentFile::open(find_moments(job.moments, request.fit)));
}

RecognisedCheckpoint open_repaired(const VerifyJob& job) {
    checkpoint::RecogniseOptions recognising = job.recognising;
    recognising.missing = checkpoint::Missing::warn;
    return checkpoint::open_recognised(job.repaired, job.opening, recognising);
}

checkpoint::AdapterPair open_adapter_pair(const VerifyJob& job, const Request& request) {
    return restore::open_adapter_pair(job.pre, job.post, job.opening, job.recognising, request);
}

Verified verify_of_adapter(const VerifyJob& job, const Execution& execution) {
    if (checkpoint::is_adapter(job.repaired)) {
        const checkpoint::Adapter repaired = checkpoint::open_adapter(job.repaired);
        const Claim claim = find_claim(
            job,
            repaired.is_gguf() ? find_receipt(repaired.weights) : repaired.folder() / receipt_name);
        const checkpoint::AdapterPair pair = open_adapter_pair(job, claim.request);
        refuse_same_files("post", pair.match.adapter->weights, repaired.weights);
        const auto moments = open_moments(job, claim.request);
        return {claim.request,
                claim.origin,
                verify_adapter(pair.match, repaired, claim.request, execution, moments.get())};
    }
    const RecognisedCheckpoint merged = open_repaired(job);
    const Claim claim = find_claim(job, find_receipt(merged.checkpoint));
    const checkpoint::AdapterPair pair = open_adapter_pair(job, claim.request);
    refuse_same_files("pre", pair.match.base->checkpoint, merged.checkpoint);
    return {claim.request,
            claim.origin,
            verify_merge(pair.match, merged, claim.request, claim.rounding, job.scope, execution)};
}

}  // namespace

Verified run_verification(const VerifyJob& job, const Execution& execution) {
    if (job.merges || checkpoint::is_adapter(job.post)) {
        return verify_of_adapter(job, execution);
    }
    const CheckpointPair pair = open_pair(job.pre, job.post, job.opening, job.recognising);
    const RecognisedCheckpoint repaired = open_repaired(job);
    refuse_same_files("post", pair.post.checkpoint, repaired.checkpoint);
    refuse_same_files("pre", pair.pre.checkpoint, repaired.checkpoint);
    const Claim claim = find_claim(job, find_receipt(repaired.checkpoint));
    const auto moments = open_moments(job, claim.request);
    return {claim.request,
            claim.origin,
            verify(pair.pre,
                   pair.post,
                   repaired,
                   claim.request,
                   job.scope,
                   execution,
                   moments.get(),
                   claim.written)};
}

}  // namespace anamnesis::restore
