// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/prompts_file.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/line_reader.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::eval {
namespace {

void append_escape(std::string& line, std::uint32_t unit) {
    fmt::format_to(std::back_inserter(line), "\\u{:04x}", unit);
}

/// A string as json.dumps writes it: ASCII, surrogate pairs above U+FFFF.
void append_python_string(std::string& line, std::string_view text) {
    line += '"';
    for (std::size_t at = 0; at < text.size();) {
        const auto first = static_cast<unsigned char>(text[at]);
        if (first >= 0x80) {
            const auto step = language::read_utf8(text, at);
            if (step.code >= 0x10000) {
                append_escape(line, 0xD800U + ((step.code - 0x10000U) >> 10U));
                append_escape(line, 0xDC00U + ((step.code - 0x10000U) & 0x3FFU));
            } else {
                append_escape(line, step.code);
            }
            at += step.length;
            continue;
        }
        switch (text[at]) {
            case '"':
                line += "\\\"";
                break;
            case '\\':
                line += "\\\\";
                break;
            case '\n':
                line += "\\n";
                break;
            case '\r':
                line += "\\r";
                break;
            case '\t':
                line += "\\t";
                break;
            case '\b':
                line += "\\b";
                break;
            case '\f':
                line += "\\f";
                break;
            default:
                if (first < 0x20) {
                    append_escape(line, first);
                } else {
                    line += text[at];
                }
        }
        ++at;
    }
    line += '"';
}

Sample parse_sample(const Json& record) {
    Sample sample;
    sample.input = record.at("input").as_string("'input'");
    if (const Json* prefix = record.find("answer_prefix")) {
        sample.answer_prefix = prefix->as_string("'answer_prefix'");
    }
    for (const Json& output : record.at("outputs").as_array("'outputs'")) {
        sample.references.push_back(output.as_string("an element of 'outputs'"));
    }
    if (const Json* length = record.find("length")) {
        sample.length = length->as_unsigned("'length'");
    }
    if (sample.references.empty()) {
        throw Error(ErrorKind::malformed, "'outputs' is empty, so every answer would be right");
    }
    return sample;
}

constexpr std::size_t first_doubling = 1024;

/// The end of the doubling that a length is in.
std::size_t find_doubling(std::size_t length) {
    return std::max(first_doubling, std::bit_ceil(length));
}

}  // namespace

std::string to_ruler_line(const Sample& sample, const RulerRecord& record) {
    const std::size_t length = sample.prompt_tokens + record.tokens_to_generate;
    std::string line = format("{{\"index\": {}, \"input\": ", sample.answer_offset);
    line.reserve(sample.input.size() + sample.input.size() / 16 + 512);
    append_python_string(line, sample.input);
    line += ", \"outputs\": [";
    for (std::size_t i = 0; i < sample.references.size(); ++i) {
        line += i == 0 ? "" : ", ";
        append_python_string(line, sample.references[i]);
    }
    line += format("], \"length\": {}, \"length_w_model_temp\": {}, \"answer_prefix\": ",
                   length,
                   length + record.wrapper_tokens);
    append_python_string(line, sample.answer_prefix);
    line += format(", \"token_position_answer\": {}}}\n", sample.tokens_before_answer);
    return line;
}

std::vector<Sample> read_ruler_prompts(const std::filesystem::path& path, std::string_view task) {
    io::JsonLineReader reader(path);
    std::vector<Sample> samples;
    Json record;
    while (reader.next(record)) {
        samples.push_back(in_context([&] { return "reading " + reader.place(); },
                                     [&] { return parse_sample(record); }));
        samples.back().task = task;
        samples.back().index = samples.size() - 1;
    }
    if (samples.empty()) {
        throw Error(ErrorKind::malformed, format("no prompts in {}", in_quotes(path.string())));
    }
    return samples;
}

void round_to_sets(std::vector<Sample>& samples) {
    std::map<std::size_t, std::size_t> longest;  // by doubling
    for (const Sample& sample : samples) {
        std::size_t& length = longest[find_doubling(sample.length)];
        length = std::max(length, sample.length);
    }
    for (Sample& sample : samples) {
        const std::size_t doubling = find_doubling(sample.length);
        const std::size_t unit = doubling == first_doubling ? first_doubling / 2 : first_doubling;
        sample.length = (longest.at(doubling) + unit - 1) / unit * unit;
    }
}

}  // namespace anamnesis::eval
