// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_check.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;
using checkpoint::Finding;
using checkpoint::make_finding;
using checkpoint::RecognisedCheckpoint;
using checkpoint::Severity;

/// The largest token number of a tokenizer.json, as it streams by: a tree of it would be large.
class TokenCounter final : public JsonEvents {
public:
    std::optional<std::uint64_t> largest() const { return largest_; }

    void null() override {}
    void boolean(bool /*value*/) override {}
    void integer(std::int64_t /*value*/) override {}
    void real(double /*value*/) override {}
    void string(std::string& /*value*/) override {}
    void unsigned_integer(std::uint64_t value) override {
        // {"model": {"vocab": {token: number}}, "added_tokens": [{"id": number}]}
        const bool is_in_vocabulary =
            keys_.size() == 3 && keys_[0] == "model" && keys_[1] == "vocab";
        const bool is_added = keys_.size() == 3 && keys_[0] == "added_tokens" && keys_[2] == "id";
        if (is_in_vocabulary || is_added) {
            largest_ = std::max(largest_.value_or(0), value);
        }
    }
    void begin_object() override { keys_.emplace_back(); }
    void key(std::string& name) override {
        // Of a token its number alone is asked for.
        if (keys_.size() <= 2 || name == "id") {
            keys_.back() = std::move(name);
        } else {
            keys_.back().clear();
        }
    }
    void end_object() override { keys_.pop_back(); }
    void begin_array() override { keys_.emplace_back("[]"); }
    void end_array() override { keys_.pop_back(); }

private:
    std::vector<std::string> keys_;
    std::optional<std::uint64_t> largest_;
};

void check_tokens(const RecognisedCheckpoint& source, std::vector<Finding>& findings) {
    const fs::path path = source.checkpoint.folder() / "tokenizer.json";
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) {
        const bool has_other =
            fs::exists(source.checkpoint.folder() / "tokenizer.model", ignored) ||
            fs::exists(source.checkpoint.folder() / "vocab.json", ignored);
        if (!has_other) {
            findings.push_back({.code = "no_tokenizer",
                                .severity = Severity::note,
                                .sentence = "the folder holds no tokenizer"});
        }
        return;
    }
    TokenCounter counter;
    try {
        const std::string text = io::read_text(path);
        read_json(text, counter);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::malformed) {
            throw;
        }
        findings.push_back(make_finding("tokenizer_unreadable",
                                        Severity::error,
                                        {"tokenizer.json"},
                                        format("tokenizer.json is not JSON: {}", error.message())));
        return;
    }
    const std::uint64_t rows = source.model.vocab_size;
    if (counter.largest() && rows != 0 && *counter.largest() >= rows) {
        findings.push_back(make_finding(
            "tokenizer_larger",
            Severity::error,
            {"tokenizer.json"},
            format("tokenizer.json has tokens up to {}, the embedding has rows for {}: the last "
                   "tokens have no weights",
                   *counter.largest(),
                   rows),
            "save the model after resize_token_embeddings, or take the tokenizer of its base"));
    }
}

void check_special_tokens(const RecognisedCheckpoint& source, std::vector<Finding>& findings) {
    const std::uint64_t rows = source.model.vocab_size;
    for (const std::string_view key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
        const Json* value = source.checkpoint.config().find(key);
        if (value == nullptr || rows == 0) {
            continue;
        }
        Json::Array numbers = value->is_array() ? value->as_array(key) : Json::Array{*value};
        const bool is_beyond = std::ranges::any_of(numbers, [&](const Json& number) {
            return number.is_number() && number.as_double(key) >= static_cast<double>(rows);
        });
        if (is_beyond) {
            findings.push_back(
                make_finding("special_token_beyond",
                             Severity::error,
                             {"config.json"},
                             format("config.json says {} {}, the embedding has rows for {}",
                                    key,
                                    value->dump(),
                                    rows)));
        }
    }
}

void check_chat_template(const RecognisedCheckpoint& source, std::vector<Finding>& findings) {
    const fs::path& folder = source.checkpoint.folder();
    std::error_code ignored;
    const fs::path settings = folder / "tokenizer_config.json";
    if (!fs::is_regular_file(settings, ignored)) {
        return;
    }
    bool has_template = fs::exists(folder / "chat_template.jinja", ignored) ||
                        fs::exists(folder / "chat_template.json", ignored) ||
                        fs::is_directory(folder / "additional_chat_templates", ignored);
    try {
        has_template =
            has_template || Json::parse(io::read_text(settings)).find("chat_template") != nullptr;
    } catch (const Error&) {
        findings.push_back(make_finding("tokenizer_unreadable",
                                        Severity::error,
                                        {"tokenizer_config.json"},
                                        "tokenizer_config.json is not JSON"));
        return;
    }
    if (!has_template) {
        findings.push_back({.code = "no_chat_template",
                            .severity = Severity::note,
                            .sentence = "the tokenizer has no chat template"});
    }
}

/// Python files that config.json sends loaders to.
void check_remote_code(const RecognisedCheckpoint& source, std::vector<Finding>& findings) {
    const Json* map = source.checkpoint.config().find("auto_map");
    if (map == nullptr || !map->is_object()) {
        return;
    }
    std::vector<std::string> missing;
    std::vector<std::string> classes;
    for (const auto& [name, value] : map->as_object("auto_map")) {
        if (!value.is_string()) {
            continue;
        }
        const std::string& place = value.as_string("auto_map");
        classes.push_back(place);
        // "org/name--module.Class" lies on the hub.
        const std::string file = place.substr(0, place.find('.')) + ".py";
        std::error_code ignored;
        if (place.find("--") == std::string::npos &&
            !fs::exists(source.checkpoint.folder() / file, ignored)) {
            missing.push_back(file);
        }
    }
    if (!missing.empty()) {
        findings.push_back(
            make_finding("remote_code_missing",
                         Severity::error,
                         missing,
                         format("config.json names Python files that are not in the folder: {}",
                                checkpoint::list_examples(missing)),
                         "copy them from the checkpoint that this one was trained from"));
    } else if (!classes.empty()) {
        findings.push_back(make_finding("remote_code",
                                        Severity::note,
                                        classes,
                                        format("loading runs Python code of the folder: {}",
                                               checkpoint::list_examples(classes))));
    }
}

}  // namespace

void check_side_files(const RecognisedCheckpoint& source, std::vector<Finding>& findings) {
    if (source.checkpoint.is_single_file()) {
        return;
    }
    check_tokens(source, findings);
    check_special_tokens(source, findings);
    check_chat_template(source, findings);
    check_remote_code(source, findings);
}

}  // namespace anamnesis::restore
