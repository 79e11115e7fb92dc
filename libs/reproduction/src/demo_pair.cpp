// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/reproduction/demo_pair.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/calibration/calibrate.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/output_checks.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/reproduction/calibration_samples.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"

#include "demo_weights.hpp"

namespace anamnesis::reproduction {
namespace {

namespace fs = std::filesystem;

void write_checkpoint(const fs::path& folder, std::string_view weights) {
    constexpr const char* name = "model.safetensors";
    if (fs::exists(folder)) {
        if (!fs::exists(folder / name) || io::read_text(folder / name) != weights) {
            throw Error(
                ErrorKind::usage,
                format("{} is in the way; choose another --out", in_quotes(folder.string(), 1000)));
        }
        return;
    }
    io::AtomicDirectory output(folder);
    io::write_text_atomically(output.path() / name, weights);
    io::write_text_atomically(output.path() / "config.json",
                              standard_recipe().hybrid.dump(2) + "\n");
    io::write_text_atomically(output.path() / "tokenizer.json", train::synthetic::tokenizer_json());
    io::write_text_atomically(output.path() / "tokenizer_config.json",
                              train::synthetic::tokenizer_config_json());
    output.commit();
}

/// The text before the first answer, and the rest.
std::string to_json_line(const language::SupervisedText& sample) {
    std::string prompt;
    std::string response;
    for (std::size_t i = 0; i < sample.ids.size(); ++i) {
        const bool is_answer = sample.labels[i] != train::no_label && sample.weights[i] == 1.0F;
        std::string& part = is_answer || !response.empty() ? response : prompt;
        part += part.empty() && response.empty() ? "" : " ";
        part += train::synthetic::words()[static_cast<std::size_t>(sample.ids[i])];
    }
    return Json(Json::Object{{"prompt", prompt}, {"response", response}}).dump() + "\n";
}

void write_rows(const fs::path& path, const std::vector<language::SupervisedText>& texts) {
    std::string lines;
    for (const language::SupervisedText& text : texts) {
        Json ids = Json::array();
        Json labels = Json::array();
        for (std::size_t i = 0; i < text.ids.size(); ++i) {
            ids.push_back(text.ids[i]);
            labels.push_back(text.labels[i]);
        }
        lines += Json(Json::Object{{"input_ids", std::move(ids)}, {"labels", std::move(labels)}})
                     .dump() +
                 "\n";
    }
    io::write_text_atomically(path, lines);
}

}  // namespace

void write_demo_texts(const fs::path& folder) {
    constexpr int lines = 32;
    Random random(1);
    std::string cot;
    std::string retrieval;
    for (int i = 0; i < lines; ++i) {
        const language::SupervisedText sample = train::synthetic::chain_of_thought(random);
        cot += to_json_line(sample);
        retrieval += to_json_line(train::synthetic::retrieval(
            random, {.needle = train::synthetic::Needle::s2, .length = sample.ids.size()}));
    }
    io::write_text_atomically(folder / "cot.jsonl", cot);
    io::write_text_atomically(folder / "retrieval.jsonl", retrieval);
    const calibration::CalibrationJob job = make_calibration_job(0);
    write_rows(folder / "recall-calibration.jsonl", job.recall.texts);
    write_rows(folder / "chains-calibration.jsonl", job.chains.texts);
}

void write_demo_pair(const fs::path& folder) {
    if (!fs::exists(folder / "pre")) {  // else a demo's own, which goes on
        io::require_new_folder(folder, "anamnesis demo");
    }
    fs::create_directories(folder);
    write_checkpoint(folder / "pre", embedded::demo_pre());
    write_checkpoint(folder / "post", embedded::demo_post());
}

}  // namespace anamnesis::reproduction
