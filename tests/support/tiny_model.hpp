// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::testing {

/// Ids of the tiny tokenizer: 420 of its BPE, 7 special ones.
inline constexpr std::size_t tiny_vocabulary = 427;

inline std::string read_text_file(const std::filesystem::path& path) {
    return io::read_text(path, std::uint64_t{1} << 20U);
}

inline std::string read_bytes(const formats::SafetensorsFile& file,
                              const formats::TensorInfo& tensor) {
    std::string bytes(tensor.data.size(), '\0');
    file.file().read_at(file.data_begin() + tensor.data.begin(),
                        std::as_writable_bytes(std::span(bytes)));
    return bytes;
}

struct NamedBytes {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;
    std::string bytes;
};

inline std::string make_safetensors(const std::vector<NamedBytes>& tensors) {
    Json header = Json::object();
    std::string data;
    for (const NamedBytes& tensor : tensors) {
        Json shape = Json::array();
        for (const std::uint64_t size : tensor.shape) {
            shape.push_back(size);
        }
        Json offsets = Json::array();
        offsets.push_back(std::uint64_t{data.size()});
        data += tensor.bytes;
        offsets.push_back(std::uint64_t{data.size()});
        header.set(tensor.name,
                   Json::Object{{"dtype", tensor.dtype},
                                {"shape", std::move(shape)},
                                {"data_offsets", std::move(offsets)}});
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string length(8, '\0');
    const std::uint64_t size = text.size();
    std::memcpy(length.data(), &size, sizeof size);
    return length + text + data;
}

/// Rows of float32 or bfloat16 repeated until there are `rows`, a little smaller each time.
inline void repeat_rows(NamedBytes& matrix, std::size_t rows) {
    const std::size_t known = matrix.bytes.size();
    matrix.bytes.resize(known / matrix.shape[0] * rows);
    const bool is_narrow = matrix.dtype == "BF16";
    const std::size_t width = is_narrow ? 2 : 4;
    for (std::size_t at = known; at < matrix.bytes.size(); at += width) {
        // The upper half of a float32 is the bfloat16.
        float value = 0.0F;
        char* const bytes = reinterpret_cast<char*>(&value) + (4 - width);
        std::memcpy(bytes, matrix.bytes.data() + (at - known), width);
        value *= 0.9F;
        std::memcpy(matrix.bytes.data() + at, bytes, width);
    }
    matrix.shape[0] = rows;
}

/// A golden model with the tiny tokenizer and a chat template: its matrices of tokens grow by
/// repeating their rows, a little smaller each time.
inline void write_tiny_model(const TemporaryFolder& folder, const std::string& name) {
    const std::filesystem::path testdata = ANAMNESIS_TESTDATA;
    const std::filesystem::path golden = testdata / "models" / name;
    const auto file = formats::SafetensorsFile::open(golden / "model.safetensors");
    std::vector<NamedBytes> tensors;
    for (const formats::TensorInfo& tensor : file.tensors()) {
        NamedBytes copy{.name = tensor.name,
                        .dtype = std::string(to_string(tensor.dtype)),
                        .shape = {tensor.shape.begin(), tensor.shape.end()},
                        .bytes = read_bytes(file, tensor)};
        if (copy.name == "model.embed_tokens.weight" || copy.name == "lm_head.weight") {
            repeat_rows(copy, tiny_vocabulary);
        }
        tensors.push_back(std::move(copy));
    }
    folder.write("model.safetensors", make_safetensors(tensors));
    Json config = Json::parse(read_text_file(golden / "config.json"));
    config.set("vocab_size", std::uint64_t{tiny_vocabulary});
    folder.write("config.json", config.dump(2));
    folder.write("tokenizer.json",
                 read_text_file(testdata / "tokenizer/tiny/qwen2/tokenizer.json"));
    folder.write("chat_template.jinja",
                 "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
                 "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if "
                 "add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
}

}  // namespace anamnesis::testing
