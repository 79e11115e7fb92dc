// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct LogitsOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::string ids{};
    std::string out{};
    bool hidden_states = false;
    bool step = false;
};

void declare(CLI::App& app, LogitsOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--model", options.checkpoint, "The checkpoint folder.")->required();
    required.option("--ids", options.ids, "A .safetensors file with input_ids [B, T].")->required();
    required.option("--out", options.out, "The file to write: logits [B, T, V].")->required();
    OptionGroup reading(app, "How the tokens are read");
    reading.flag("--hidden-states",
                 options.hidden_states,
                 "Write hidden_states.i too: the residual stream before layer 0 and after each "
                 "layer.");
    auto* chunk = reading.option("--chunk",
                                 options.model.chunk,
                                 "Read this many tokens at a time; the whole text at once where it "
                                 "is not given.");
    chunk->check(CLI::Range(1U, 1U << 20U))->default_str("");
    reading.flag("--step", options.step, "Read token by token.")->excludes(chunk);
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

struct InputIds {
    std::vector<std::int64_t> ids;
    Shape shape;  ///< [batch, length]
};

template <class Integer>
std::vector<std::int64_t> read_integers(std::span<const std::byte> bytes) {
    std::vector<Integer> stored(bytes.size() / sizeof(Integer));
    std::memcpy(stored.data(), bytes.data(), stored.size() * sizeof(Integer));
    return {stored.begin(), stored.end()};
}

InputIds read_input_ids(const std::string& path) {
    const auto file = formats::SafetensorsFile::open(path);
    const formats::TensorInfo* tensor = file.find("input_ids");
    if (tensor == nullptr) {
        throw Error(ErrorKind::not_found,
                    format("there is no tensor 'input_ids' in {}", in_quotes(path)));
    }
    const bool is_integer = tensor->dtype == DType::i64 || tensor->dtype == DType::i32;
    if (!is_integer || tensor->shape.size() != 2) {
        throw Error(ErrorKind::mismatch,
                    format("tensor 'input_ids' of {} is {} of shape {}, expected I64 or I32 of "
                           "shape [B, T]",
                           in_quotes(path),
                           to_string(tensor->dtype),
                           to_string(tensor->shape)));
    }
    std::vector<std::byte> bytes(tensor->data.size());
    file.file().read_at(file.data_begin() + tensor->data.begin(), bytes);
    return {.ids = tensor->dtype == DType::i64 ? read_integers<std::int64_t>(bytes)
                                               : read_integers<std::int32_t>(bytes),
            .shape = tensor->shape};
}

void write(const std::string& path, const std::vector<runtime::NamedArray>& arrays) {
    std::vector<formats::TensorSpec> tensors;
    for (const runtime::NamedArray& array : arrays) {
        tensors.push_back({.name = array.name, .dtype = DType::f32, .shape = array.shape});
    }
    const auto prologue = formats::make_safetensors_prologue(tensors, {});
    io::AtomicFile file{path};
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        file.file().write_at(prologue.bytes.size() + prologue.offsets[i],
                             std::as_bytes(std::span(arrays[i].values)));
    }
    file.commit();
}

int run(const LogitsOptions& options, Terminal& terminal) {
    const InputIds input = read_input_ids(options.ids);
    const auto model =
        open_model(options.checkpoint, options.model, options.reading, options.common);
    const std::vector<runtime::NamedArray> arrays =
        model->logits({.ids = input.ids,
                       .batch = input.shape.front(),
                       .chunk = options.step ? 1 : options.model.chunk,
                       .wants_hidden_states = options.hidden_states});
    write(options.out, arrays);
    if (options.common.json) {
        Json written = Json::array();
        for (const runtime::NamedArray& array : arrays) {
            Json shape = Json::array();
            for (const std::uint64_t size : array.shape) {
                shape.push_back(size);
            }
            written.push_back(Json::Object{{"name", array.name}, {"shape", std::move(shape)}});
        }
        terminal.result(
            Json(Json::Object{{"out", options.out}, {"tensors", std::move(written)}}).dump(2) +
            "\n");
    }
    for (const runtime::NamedArray& array : arrays) {
        terminal.say(format("{} {}", array.name, to_string(array.shape)));
    }
    return 0;
}

}  // namespace

Action add_logits(CLI::App& app) {
    return make_action<LogitsOptions>(app, declare, run);
}

}  // namespace anamnesis::app
