// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/engine.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/sampled_digest.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {
namespace {

namespace fs = std::filesystem;

AskedModel parse_asked_model(const std::string& word, PlaceKind kind) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
        return {.name = word.substr(0, equals), .place = word.substr(equals + 1)};
    }
    if (kind == PlaceKind::served) {
        return {.name = word, .place = word};
    }
    fs::path path = fs::path(word).lexically_normal();
    path = path.has_filename() ? path : path.parent_path();
    return {.name = path.filename().string(), .place = word};
}

}  // namespace

std::vector<AskedModel> parse_asked_models(std::span<const std::string> words, PlaceKind kind) {
    std::vector<AskedModel> models;
    for (const std::string& word : words) {
        AskedModel model = parse_asked_model(word, kind);
        const bool is_taken = std::ranges::any_of(
            models, [&](const AskedModel& other) { return other.name == model.name; });
        if (is_taken || model.name.empty() || model.place.empty()) {
            throw Error(ErrorKind::usage,
                        format("--model {}: the name {} is {}; give NAME=FOLDER",
                               in_quotes(word),
                               in_quotes(model.name),
                               is_taken ? "taken already" : "empty"));
        }
        models.push_back(std::move(model));
    }
    if (models.empty() && kind == PlaceKind::folder) {
        throw Error(ErrorKind::usage, "there is no --model, and no --endpoint either");
    }
    if (models.empty()) {
        models.push_back({.name = "served", .place = ""});
    }
    return models;
}

Engine make_endpoint_engine(EndpointOptions options, const language::Tokenizer* tokenizer) {
    Engine engine{.form = options.form, .concurrency = options.concurrency};
    engine.back_end = std::make_unique<EndpointBackEnd>(std::move(options), tokenizer);
    engine.description = engine.back_end->description();
    return engine;
}

Engine make_embedded_engine(std::unique_ptr<language::LanguageModel> model,
                            EmbeddedOptions options,
                            const std::string& folder) {
    Engine engine{.model = std::move(model), .form = options.form};
    engine.back_end = std::make_unique<EmbeddedBackEnd>(*engine.model, std::move(options));
    engine.description = engine.back_end->description();
    engine.description.set("path", folder);
    engine.description.set("digest", io::sampled_digest(folder));
    return engine;
}

}  // namespace anamnesis::eval
