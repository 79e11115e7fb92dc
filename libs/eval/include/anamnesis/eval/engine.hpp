// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// A model of an evaluation.
struct AskedModel {
    std::string name;       ///< in results and reports
    std::string place;      ///< its folder, or what a server calls it
    std::string adapter{};  ///< a LoRA adapter that it is run with; empty: none
};

/// What a place without a name is called after.
enum class PlaceKind : std::uint8_t {
    folder,  ///< the last part of its path
    served,  ///< itself
};

/// Reads NAME=PLACE or PLACE. Of a server that is given no name its only model is asked.
/// `adapters` are NAME=ADAPTER, or one ADAPTER of the only model.
/// Errors: `usage` without a folder, for an empty name or place, for a name that is given twice,
/// and for an adapter of no model, of a model that has one or of one that is served.
std::vector<AskedModel> parse_asked_models(std::span<const std::string> words,
                                           PlaceKind kind,
                                           std::span<const std::string> adapters = {});

/// The only model of a verb, "model".
/// Errors: `usage` for more than one adapter.
AskedModel name_model(const std::string& place, std::span<const std::string> adapters);

/// In what models are not run as their files say; words are empty and numbers 0 where they are.
struct OtherRunning {
    std::string dtype{};
    std::string cache_dtype{};
    std::string attn_logits_scaling{};
    std::string family{};
    std::string config{};
    std::uint64_t context_length = 0;
};

/// For the settings of a run; null where there is nothing.
Json to_json(const OtherRunning& running);

/// For a run's record: `path`, `adapter` where there is one, and a `digest` of both.
Json describe_files(const AskedModel& model);

/// A back end with all that it needs.
struct Engine {
    std::unique_ptr<language::LanguageModel> model{};  ///< null where another owns it, or a server
    std::unique_ptr<BackEnd> back_end{};
    PromptForm form{};            ///< how prompts are written before they are sent
    std::size_t concurrency = 1;  ///< questions that may be under way at once
    Json description{};           ///< for the run's record: what it is, where it is, its digest
};

/// What the opener of an engine is told.
struct EngineOpening {
    Json earlier{};    ///< the engine's description in a run that goes on; null: none
    Question trial{};  ///< a question to try it with, of a few tokens
    Watch watch{};
};

using OpenEngine = std::function<Engine(const AskedModel&, const EngineOpening&)>;

/// A server, in the options that `find_transport` gave. The tokenizer must outlive the engine.
/// Errors: as `EndpointBackEnd`.
Engine make_endpoint_engine(EndpointOptions options, const language::Tokenizer* tokenizer);

/// A model in this process, loaded from the files of `asked`, of which `findings` tell (a list, for
/// the run's record).
Engine make_embedded_engine(std::unique_ptr<language::LanguageModel> model,
                            EmbeddedOptions options,
                            const AskedModel& asked,
                            const Json& findings);

}  // namespace anamnesis::eval
