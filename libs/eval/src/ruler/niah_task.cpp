// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/niah_task.hpp"

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::eval {
namespace {

using enum Haystack;
using enum NeedleKind;

constexpr std::array<NiahTask, 8> tasks{{
    {"niah_single_1", noise, words, numbers, 1, 1, 1},
    {"niah_single_2", essay, words, numbers, 1, 1, 1},
    {"niah_single_3", essay, words, uuids, 1, 1, 1},
    {"niah_multikey_1", essay, words, numbers, 4, 1, 1},
    {"niah_multikey_2", needle, words, numbers, 1, 1, 1},
    {"niah_multikey_3", needle, uuids, uuids, 1, 1, 1},
    {"niah_multivalue", essay, words, numbers, 1, 4, 1},
    {"niah_multiquery", essay, words, numbers, 4, 1, 4},
}};

/// Source: NVIDIA/RULER c3f5e3b, scripts/data/template.py.
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> wrappers{{
    {"base", "{task_template}"},
    {"meta-chat", "[INST] {task_template} [/INST]"},
    {"vicuna-chat",
     "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
     "helpful, detailed, and polite answers to the user's questions. USER: {task_template} "
     "ASSISTANT:"},
    {"lwm-chat", "You are a helpful assistant. USER: {task_template} ASSISTANT: "},
    {"command-r-chat",
     "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{task_template}<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
    {"chatglm-chat", "[gMASK]sop<|user|> \n {task_template}<|assistant|> \n "},
    {"RWKV",
     "User: hi\n\nAssistant: Hi. I am your assistant and I will provide expert full response in "
     "full details. Please feel free to ask any question and I will always answer it\n\nUser: "
     "{task_template}\n\nAssistant:"},
    {"Phi3", "<|user|>\n{task_template}<|end|>\n<|assistant|>\n"},
    {"meta-llama3",
     "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{task_template}<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"jamba",
     "<|startoftext|><|bom|><|system|> <|eom|><|bom|><|user|> {task_template}<|eom|><|bom|>"
     "<|assistant|>"},
}};

[[noreturn]] void refuse(std::string_view what,
                         std::string_view name,
                         const std::vector<std::string>& known) {
    const auto nearest = find_nearest(name, known);
    throw Error(ErrorKind::usage,
                format("unknown {} {}{}; known: {}",
                       what,
                       in_quotes(name),
                       nearest ? format(", did you mean {}?", *nearest) : std::string(),
                       join(known, ", ")));
}

}  // namespace

std::string_view to_string(NeedleKind kind) noexcept {
    switch (kind) {
        case words:
            return "words";
        case numbers:
            return "numbers";
        case uuids:
            return "uuids";
    }
    return "";
}

std::span<const NiahTask> niah_tasks() noexcept {
    return tasks;
}

const NiahTask& niah_task(std::string_view name) {
    constexpr std::string_view prefix = "niah_";
    std::vector<std::string> known;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const NiahTask& task = tasks.at(i);
        if (name == task.name || name == task.name.substr(prefix.size()) ||
            (i < 3 && name == format("s{}", i + 1))) {
            return task;
        }
        known.emplace_back(task.name);
    }
    refuse("task", name, known);
}

std::string_view ruler_wrapper(std::string_view name) {
    std::vector<std::string> known;
    for (const auto& [wrapper, text] : wrappers) {
        if (wrapper == name) {
            return text;
        }
        known.emplace_back(wrapper);
    }
    refuse("template", name, known);
}

}  // namespace anamnesis::eval
