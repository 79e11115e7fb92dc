// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

/// What is to be proven, and of which files.
struct VerifyJob {
    std::filesystem::path pre;
    std::filesystem::path post;  ///< a checkpoint, or a LoRA adapter of pre
    bool merges = false;         ///< post is an adapter, whatever its files look like
    std::filesystem::path repaired;
    checkpoint::OpenOptions opening{};
    checkpoint::RecogniseOptions recognising{};
    Request request{};
    MergeRounding rounding = MergeRounding::once;
    bool prefers_receipt = true;  ///< a receipt beside the repaired weights says what to prove
    VerifyScope scope = VerifyScope::folder;
    std::filesystem::path moments{};  ///< empty: computed rows of fit are only named
};

struct Verified {
    Request request;
    std::string origin;  ///< "the receipt", "the command line"
    Verification result;
};

/// Opens everything and holds it against each other: checkpoints (`verify`), a repaired adapter
/// (`verify_adapter`) or a merged checkpoint (`verify_merge`).
/// Errors: those of opening and of these; `malformed` for a receipt, `unsupported` for one of
/// another version; `usage` for moments of a claim that is not fit, and where the repaired files
/// are those of pre or post.
Verified run_verification(const VerifyJob& job, const Execution& execution);

}  // namespace anamnesis::restore
