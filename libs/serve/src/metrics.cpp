// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::serve {
namespace {

void write_line(std::string& text,
                std::string_view name,
                std::string_view labels,
                std::uint64_t value) {
    text += format("anamnesis_{}{{{}}} {}\n", name, labels, value);
}

/// A value of a label as Prometheus quotes it.
std::string in_label(std::string_view value) {
    std::string text;
    for (const char c : value) {
        if (c == '\n') {
            text += "\\n";
            continue;
        }
        if (c == '"' || c == '\\') {
            text += '\\';
        }
        text += c;
    }
    return text;
}

}  // namespace

void Durations::add(std::chrono::duration<double> time) {
    std::size_t bucket = 0;
    while (bucket < bounds.size() && time.count() > bounds[bucket]) {
        ++bucket;
    }
    ++counts_[bucket];
    microseconds_ += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

void Durations::write(std::string& text, const std::string& name, const std::string& labels) const {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= bounds.size(); ++i) {
        total += counts_[i];
        const std::string bound = i < bounds.size() ? format("{}", bounds[i]) : "+Inf";
        write_line(text, name + "_bucket", format("{},le=\"{}\"", labels, bound), total);
    }
    text += format("anamnesis_{}_sum{{{}}} {}\n",
                   name,
                   labels,
                   static_cast<double>(microseconds_.load()) * 1e-6);
    write_line(text, name + "_count", labels, total);
}

void ModelMetrics::write(std::string& text, const std::string& model) const {
    const std::string labels = format("model=\"{}\"", in_label(model));
    write_line(text, "prompts_waiting", labels, prompts_waiting);
    write_line(text, "prompts_reading", labels, prompts_reading);
    write_line(text, "answers_running", labels, answers_running);
    write_line(text, "prompt_tokens_total", labels, prompt_tokens);
    write_line(text, "prompt_tokens_reused_total", labels, reused_tokens);
    write_line(text, "new_tokens_total", labels, new_tokens);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        write_line(
            text,
            "answers_total",
            format("{},finish=\"{}\"", labels, to_string(static_cast<language::FinishReason>(i))),
            answers[i]);
    }
    write_line(text, "prompts_refused_total", labels, prompts_refused);
    write_line(text, "state_reserved_bytes", labels, reserved_bytes);
    write_line(text, "prefix_bytes", labels, kept_bytes);
    write_line(text, "prefix_states", labels, kept_states);
    write_line(text, "prefix_evictions_total", labels, evictions);
    first_token.write(text, "first_token_seconds", labels);
}

}  // namespace anamnesis::serve
