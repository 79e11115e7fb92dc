// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "options/server.hpp"

namespace anamnesis::app {

/// Who answers the questions of an evaluation, and how.
struct AskingOptions {
    std::vector<std::string> models{};  ///< PATH, NAME=PATH, or names that a server knows
    ModelOptions how{};
    ReadingOptions reading{};
    ServerOptions server{};
    bool chat = false;
    const char* without_template = "leave out --chat";  ///< what helps a model that has none
    std::optional<bool> thinking{};
    std::vector<std::string> chat_variables{};
    std::optional<std::uint32_t> max_tokens{};  ///< absent: the task's own
    bool no_sharing = false;
    bool check_engine = false;
    bool twice = false;
    std::string out{};
    std::string shard{};

    /// Whether the models run in this process.
    bool needs_model() const { return server.endpoint.empty(); }
};

void declare_asking(CLI::App& app, AskingOptions& options);

/// The tokenizer of --tokenizer, or of the first checkpoint.
/// Errors: `usage` where an endpoint is asked and no tokenizer is given; those of the models'
/// names.
language::Tokenizer open_tokenizer(const AskingOptions& options);

/// What prompts are put into, for the settings of a run: false, true, or the variables of the chat
/// template that are set. Errors: `usage` for variables that no template reads.
Json describe_chat(const AskingOptions& options);

/// The options and the tokenizer must outlive the job.
/// Errors: `usage` for no model or a name given twice, and for a wrong --shard.
eval::AskingJob make_asking_job(const AskingOptions& options,
                                const CommonOptions& common,
                                const language::Tokenizer& tokenizer);

}  // namespace anamnesis::app
