// SPDX-License-Identifier: Apache-2.0
#include "evaluation/asked_models.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/evaluation.hpp"
#include "options.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t default_chunk = 512;

eval::PromptForm form_of(const AskingOptions& options, const std::string& folder) {
    eval::PromptForm form{.enable_thinking = options.thinking};
    const bool is_rendered_here = options.endpoint.empty() || options.transport != "chat";
    if (options.chat && is_rendered_here) {
        form.chat = language::ChatTemplate::open(folder);
    }
    return form;
}

eval::EndpointOptions endpoint_of(const AskedModel& model,
                                  const AskingOptions& options,
                                  eval::PromptForm form) {
    using enum eval::PromptTransport;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet.
    const char* key = std::getenv(options.api_key_variable.c_str());
    return {.url = options.endpoint,
            .model = model.place,
            .api_key = key == nullptr ? std::string() : std::string(key),
            .transport = options.transport == "tokens" ? token_ids
                         : options.transport == "text" ? text
                                                       : chat,
            .form = std::move(form),
            .concurrency = options.concurrency,
            .read_timeout = std::chrono::seconds(options.timeout),
            .retries = options.retries,
            .sends_extensions = !options.plain_openai};
}

}  // namespace

std::vector<AskedModel> asked_models(const AskingOptions& options) {
    std::vector<AskedModel> models;
    for (const std::string& word : options.models) {
        const std::size_t equals = word.find('=');
        AskedModel model{.name = word, .place = word};
        if (equals != std::string::npos) {
            model = {.name = word.substr(0, equals), .place = word.substr(equals + 1)};
        } else if (options.endpoint.empty()) {
            fs::path path = fs::path(word).lexically_normal();
            path = path.has_filename() ? path : path.parent_path();
            model.name = path.filename().string();
        }
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
    if (models.empty()) {
        if (options.endpoint.empty()) {
            throw Error(ErrorKind::usage, "no --model, and no --endpoint either");
        }
        models.push_back({.name = "served", .place = ""});
    }
    return models;
}

std::string tokenizer_folder(const AskingOptions& options, const std::vector<AskedModel>& models) {
    if (!options.how.tokenizer.empty()) {
        return options.how.tokenizer;
    }
    if (!options.endpoint.empty()) {
        throw Error(ErrorKind::usage,
                    "prompts are fitted in tokens; give --tokenizer with --endpoint");
    }
    return models.front().place;
}

Asked::Asked(const AskedModel& model,
             const AskingOptions& options,
             const CommonOptions& common,
             const language::Tokenizer* tokenizer,
             const OpenModel& open)
    : model_(model) {
    const std::string folder = options.how.tokenizer.empty() ? model.place : options.how.tokenizer;
    form_ = form_of(options, folder);
    if (!options.endpoint.empty()) {
        back_end_ =
            std::make_unique<eval::EndpointBackEnd>(endpoint_of(model, options, form_), tokenizer);
        return;
    }
    ModelOptions how = options.how;
    how.chunk = how.chunk == 0 ? default_chunk : how.chunk;
    embedded_ = open(model.place, how, options.reading, common);
    back_end_ = std::make_unique<eval::EmbeddedBackEnd>(
        *embedded_,
        eval::EmbeddedOptions{
            .form = form_, .prefill_chunk = how.chunk, .shares_prefixes = !options.no_sharing});
    digest_ = sampled_digest(model.place);
}

Json Asked::description() const {
    Json result = back_end_->description();
    if (!digest_.empty()) {
        result.set("path", model_.place);
        result.set("digest", digest_);
    }
    return result;
}

std::string sampled_digest(const std::string& folder) {
    constexpr std::uint64_t stride = 1U << 20U;
    constexpr std::uint64_t sample = 4096;
    std::vector<fs::path> files;
    if (fs::is_directory(folder)) {
        for (const auto& entry : fs::directory_iterator(folder)) {
            const bool is_weights = entry.path().extension() == ".safetensors";
            if (is_weights || entry.path().filename() == "config.json") {
                files.push_back(entry.path());
            }
        }
    } else {
        files.emplace_back(folder);
    }
    std::ranges::sort(files);
    Sha256 digest;
    std::vector<std::byte> block(sample);
    for (const fs::path& path : files) {
        const io::File file = io::File::open_for_reading(path);
        const std::uint64_t size = file.size();
        digest.update(format("{} {}\n", path.filename().string(), size));
        for (std::uint64_t at = 0; at < size; at += stride) {
            block.resize(std::min(sample, size - at));
            file.read_at(at, block);
            digest.update(block);
        }
    }
    return digest.finish();
}

}  // namespace anamnesis::app
