// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/open_pair.hpp"

#include <filesystem>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;

/// One of a pair, where the other may have the config that it lacks.
checkpoint::RecognisedCheckpoint open_one(const fs::path& path,
                                          const fs::path& other,
                                          std::string_view other_side,
                                          const checkpoint::OpenOptions& opening,
                                          const checkpoint::RecogniseOptions& recognising) {
    try {
        return checkpoint::open_recognised(path, opening, recognising);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::unsupported) {
            throw;
        }
        const Checkpoint own = Checkpoint::open(path, opening);
        if (!own.config().is_null()) {
            throw;
        }
        checkpoint::refuse_other_files(own);  // no config would make one of these a checkpoint
        const Checkpoint counterpart = Checkpoint::open(other, opening);
        if (counterpart.config().is_null()) {
            throw;
        }
        throw Error(ErrorKind::mismatch,
                    format("{} has no config.json, and its tensor names do not tell what it is; if "
                           "it has that of {}, give --config {}",
                           in_quotes(path.string(), 1000),
                           other_side,
                           (counterpart.folder() / "config.json").string()));
    }
}

}  // namespace

CheckpointPair open_pair(const fs::path& pre,
                         const fs::path& post,
                         const checkpoint::OpenOptions& opening,
                         const checkpoint::RecogniseOptions& recognising) {
    return {.pre = open_one(pre, post, "post", opening, recognising),
            .post = open_one(post, pre, "pre", opening, recognising)};
}

checkpoint::AdapterPair open_adapter_pair(const fs::path& base,
                                          const fs::path& adapter,
                                          const checkpoint::OpenOptions& opening,
                                          const checkpoint::RecogniseOptions& recognising,
                                          const Request& request) {
    checkpoint::Adapter opened = checkpoint::open_adapter(adapter);
    checkpoint::RecognisedCheckpoint under = checkpoint::view_for_adapter(
        opened, checkpoint::open_recognised(base, opening, recognising));
    return {std::move(opened),
            std::move(under),
            request.allowed.contains(Allowance::prefix) ? checkpoint::PrefixRule::any
                                                        : checkpoint::PrefixRule::loaders};
}

}  // namespace anamnesis::restore
