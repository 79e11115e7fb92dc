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

#include "anamnesis/base/digest.hpp"
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

/// The model that an adapter is given to.
/// Errors: `usage`.
AskedModel& find_adapted(std::vector<AskedModel>& models, const std::string& name) {
    const auto found = name.empty() && models.size() == 1
                           ? models.begin()
                           : std::ranges::find(models, name, &AskedModel::name);
    if (found == models.end()) {
        throw Error(ErrorKind::usage,
                    format("--adapter names {} of {} models; give NAME=ADAPTER with the NAME of "
                           "--model NAME=FOLDER",
                           name.empty() ? "none" : in_quotes(name) + ", which is none",
                           models.size()));
    }
    if (!found->adapter.empty()) {
        throw Error(ErrorKind::usage,
                    format("the model {} is given two adapters; run it with one of them",
                           in_quotes(found->name)));
    }
    return *found;
}

void add_adapters(std::vector<AskedModel>& models, std::span<const std::string> adapters) {
    for (const std::string& word : adapters) {
        const std::size_t equals = word.find('=');
        const bool has_name = equals != std::string::npos;
        find_adapted(models, has_name ? word.substr(0, equals) : std::string()).adapter =
            has_name ? word.substr(equals + 1) : word;
    }
}

}  // namespace

std::vector<AskedModel> parse_asked_models(std::span<const std::string> words,
                                           PlaceKind kind,
                                           std::span<const std::string> adapters) {
    if (kind == PlaceKind::served && !adapters.empty()) {
        throw Error(ErrorKind::usage,
                    "--adapter belongs to a model that runs here; a server loads its adapters "
                    "itself, under names for --model");
    }
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
    add_adapters(models, adapters);
    return models;
}

AskedModel name_model(const std::string& place, std::span<const std::string> adapters) {
    if (adapters.size() > 1) {
        throw Error(ErrorKind::usage, "a model is run with one --adapter, and several are given");
    }
    return {.name = "model",
            .place = place,
            .adapter = adapters.empty() ? std::string() : adapters.front()};
}

Json to_json(const OtherRunning& running) {
    Json json;
    for (const auto& [name, word] : {std::pair("dtype", &running.dtype),
                                     std::pair("cache_dtype", &running.cache_dtype),
                                     std::pair("attn_logits_scaling", &running.attn_logits_scaling),
                                     std::pair("family", &running.family),
                                     std::pair("config", &running.config)}) {
        if (!word->empty()) {
            json.set(name, *word);
        }
    }
    if (running.context_length != 0) {
        json.set("context_length", running.context_length);
    }
    return json;
}

Json describe_files(const AskedModel& model) {
    Json files = Json::Object{{"path", model.place}, {"digest", io::sampled_digest(model.place)}};
    if (!model.adapter.empty()) {
        files.set("adapter", model.adapter);
        files.set("digest",
                  compute_sha256(files.at("digest").as_string("'digest'") +
                                 io::sampled_digest(model.adapter)));
    }
    return files;
}

Engine make_endpoint_engine(EndpointOptions options, const language::Tokenizer* tokenizer) {
    Engine engine{.form = options.form, .concurrency = options.concurrency};
    engine.back_end = std::make_unique<EndpointBackEnd>(std::move(options), tokenizer);
    engine.description = engine.back_end->description();
    return engine;
}

Engine make_embedded_engine(std::unique_ptr<language::LanguageModel> model,
                            EmbeddedOptions options,
                            const AskedModel& asked,
                            const Json& findings) {
    Engine engine{.model = std::move(model), .form = options.form};
    engine.back_end = std::make_unique<EmbeddedBackEnd>(*engine.model, std::move(options));
    engine.description = engine.back_end->description();
    const Json files = describe_files(asked);
    for (const auto& [key, value] : files.as_object("files")) {
        engine.description.set(key, value);
    }
    if (!findings.as_array("findings").empty()) {
        engine.description.set("findings", findings);
    }
    return engine;
}

}  // namespace anamnesis::eval
