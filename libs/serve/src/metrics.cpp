// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
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

std::string make_label(const NamedMetrics& one) {
    return format("model=\"{}\"", in_label(one.model));
}

/// A figure that every model has.
struct Family {
    const char* name;
    const char* type;
    const char* help;
};

void begin_family(std::string& text, const Family& family) {
    text += format("# HELP anamnesis_{} {}\n", family.name, family.help);
    text += format("# TYPE anamnesis_{} {}\n", family.name, family.type);
}

template <class Value>
void add_numbers(std::string& text,
                 std::span<const NamedMetrics> models,
                 const Family& family,
                 Value ModelMetrics::* value) {
    begin_family(text, family);
    for (const NamedMetrics& one : models) {
        write_line(text, family.name, make_label(one), one.metrics->*value);
    }
}

void add_answers(std::string& text, std::span<const NamedMetrics> models) {
    begin_family(text, {"answers_total", "counter", "Answers that ended, by the reason."});
    for (const NamedMetrics& one : models) {
        for (std::size_t i = 0; i < one.metrics->answers.size(); ++i) {
            const auto reason = static_cast<language::FinishReason>(i);
            write_line(text,
                       "answers_total",
                       format("{},finish=\"{}\"", make_label(one), to_string(reason)),
                       one.metrics->answers[i]);
        }
    }
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

std::string write_metrics(std::span<const NamedMetrics> models) {
    std::string text;
    const auto gauge = [&](const char* name, const char* help, auto ModelMetrics::* value) {
        add_numbers(text, models, {name, "gauge", help}, value);
    };
    const auto counter = [&](const char* name, const char* help, auto ModelMetrics::* value) {
        add_numbers(text, models, {name, "counter", help}, value);
    };
    gauge("prompts_waiting", "Prompts that wait.", &ModelMetrics::prompts_waiting);
    gauge("prompts_reading", "Prompts that are being read.", &ModelMetrics::prompts_reading);
    gauge("answers_running", "Answers that are being made.", &ModelMetrics::answers_running);
    counter("prompt_tokens_total", "Tokens of prompts, reused too.", &ModelMetrics::prompt_tokens);
    counter("prompt_tokens_reused_total",
            "Tokens of prompts whose states were kept.",
            &ModelMetrics::reused_tokens);
    counter("new_tokens_total", "Tokens of answers.", &ModelMetrics::new_tokens);
    add_answers(text, models);
    counter("prompts_refused_total", "Prompts that got 429.", &ModelMetrics::prompts_refused);
    gauge("state_reserved_bytes",
          "Memory that answers under way may take.",
          &ModelMetrics::reserved_bytes);
    gauge("prefix_bytes", "Memory of kept prefixes.", &ModelMetrics::kept_bytes);
    gauge("prefix_states", "Kept prefixes.", &ModelMetrics::kept_states);
    counter("prefix_evictions_total", "Prefixes that made room.", &ModelMetrics::evictions);
    begin_family(text,
                 {"first_token_seconds",
                  "histogram",
                  "Seconds from the arrival of a request to its first token."});
    for (const NamedMetrics& one : models) {
        one.metrics->first_token.write(text, "first_token_seconds", make_label(one));
    }
    return text;
}

}  // namespace anamnesis::serve
