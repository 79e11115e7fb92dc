// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/synthetic/words.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/json.hpp"

namespace anamnesis::train::synthetic {
namespace {

// Order is meaning: checkpoints hold these ids. The ranges below name the groups.
constexpr std::array<std::string_view, 231> all_words{
    "<pad>",     "<bos>",      "<unk>",      ".",       "?",        ":",           ";",
    ",",         "=",          "+",          "find",    "let",      "answer",      "question",
    "the",       "magic",      "number",     "for",     "is",       "what",        "then",
    "0",         "1",          "2",          "3",       "4",        "5",           "6",
    "7",         "8",          "9",          "a",       "b",        "c",           "d",
    "e",         "f",          "g",          "h",       "i",        "j",           "k",
    "l",         "m",          "n",          "o",       "p",        "amber",       "anchor",
    "arrow",     "basket",     "beacon",     "bridge",  "candle",   "canyon",      "castle",
    "cedar",     "comet",      "copper",     "coral",   "crystal",  "desert",      "dragon",
    "eagle",     "ember",      "falcon",     "feather", "forest",   "galaxy",      "garden",
    "glacier",   "harbor",     "hazel",      "island",  "ivory",    "jasmine",     "lantern",
    "lemon",     "maple",      "marble",     "meadow",  "meteor",   "nectar",      "ocean",
    "orchid",    "pebble",     "pepper",     "quartz",  "raven",    "river",       "saffron",
    "silver",    "thunder",    "velvet",     "willow",  "big",      "small",       "old",
    "new",       "quiet",      "loud",       "dark",    "bright",   "cold",        "warm",
    "slow",      "quick",      "tall",       "short",   "soft",     "hard",        "green",
    "blue",      "empty",      "busy",       "clean",   "rough",    "plain",       "calm",
    "dog",       "cat",        "man",        "woman",   "child",    "bird",        "horse",
    "farmer",    "doctor",     "teacher",    "driver",  "singer",   "boat",        "train",
    "house",     "street",     "table",      "window",  "letter",   "story",       "clock",
    "paper",     "stone",      "field",      "sees",    "finds",    "likes",       "hears",
    "holds",     "moves",      "opens",      "closes",  "paints",   "carries",     "follows",
    "watches",   "helps",      "meets",      "leaves",  "brings",   "builds",      "breaks",
    "cleans",    "draws",      "fixes",      "loses",   "sells",    "shows",       "outside",
    "inside",    "upstairs",   "downstairs", "nearby",  "abroad",   "underground", "overhead",
    "ashore",    "downtown",   "uptown",     "indoors", "outdoors", "westward",    "eastward",
    "northward", "southward",  "homeward",   "uphill",  "downhill", "backstage",   "offshore",
    "roadside",  "everywhere", "today",      "often",   "rarely",   "slowly",      "quickly",
    "sometimes", "always",     "never",      "again",   "soon",     "later",       "early",
    "gladly",    "sadly",      "calmly",     "loudly",  "quietly",  "twice",       "once",
    "maybe",     "suddenly",   "finally",    "usually", "nearly",   "alpha",       "beta",
    "gamma",     "delta",      "epsilon",    "zeta",    "eta",      "theta",       "iota",
    "kappa",     "lambda",     "mu",         "nu",      "xi",       "omicron",     "pi",
};

}  // namespace

std::span<const std::string_view> words() {
    return all_words;
}

std::int64_t find_word_id(std::string_view word) {
    const auto* found = std::ranges::find(all_words, word);
    ANAMNESIS_CHECK(found != all_words.end(), "a word of the synthetic language");
    return found - all_words.begin();
}

WordRange digits() {
    return {.first = 21, .count = 10};
}

WordRange letters() {
    return {.first = 31, .count = 16};
}

WordRange keys() {
    return {.first = 47, .count = 48};
}

WordRange adjectives() {
    return {.first = 95, .count = 24};
}

WordRange nouns() {
    return {.first = 119, .count = 24};
}

WordRange verbs() {
    return {.first = 143, .count = 24};
}

WordRange places() {
    return {.first = 167, .count = 24};
}

WordRange adverbs() {
    return {.first = 191, .count = 24};
}

WordRange symbols() {
    return {.first = 215, .count = 16};
}

std::string tokenizer_json() {
    Json vocabulary = Json::object();
    for (std::size_t id = 0; id < all_words.size(); ++id) {
        vocabulary.set(all_words[id], std::uint64_t{id});
    }
    Json added = Json::array();
    for (const std::string_view special : {"<pad>", "<bos>", "<unk>"}) {
        added.push_back(Json::Object{{"id", find_word_id(special)},
                                     {"content", special},
                                     {"single_word", false},
                                     {"lstrip", false},
                                     {"rstrip", false},
                                     {"normalized", false},
                                     {"special", true}});
    }
    const Json beginning =
        Json::Object{{"SpecialToken", Json::Object{{"id", "<bos>"}, {"type_id", 0}}}};
    const Json text = Json::Object{{"Sequence", Json::Object{{"id", "A"}, {"type_id", 0}}}};
    const Json second = Json::Object{{"Sequence", Json::Object{{"id", "B"}, {"type_id", 1}}}};
    const Json special = Json::Object{{"<bos>",
                                       Json::Object{{"id", "<bos>"},
                                                    {"ids", Json::Array{find_word_id("<bos>")}},
                                                    {"tokens", Json::Array{"<bos>"}}}}};
    const Json tokenizer = Json::Object{
        {"version", "1.0"},
        {"truncation", Json()},
        {"padding", Json()},
        {"added_tokens", added},
        {"normalizer", Json()},
        {"pre_tokenizer", Json::Object{{"type", "WhitespaceSplit"}}},
        {"post_processor",
         Json::Object{{"type", "TemplateProcessing"},
                      {"single", Json::Array{beginning, text}},
                      {"pair", Json::Array{beginning, text, second}},
                      {"special_tokens", special}}},
        {"decoder", Json()},
        {"model",
         Json::Object{{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "<unk>"}}}};
    return tokenizer.dump(2) + "\n";
}

std::string tokenizer_config_json() {
    return Json(Json::Object{{"tokenizer_class", "PreTrainedTokenizerFast"},
                             {"bos_token", "<bos>"},
                             {"pad_token", "<pad>"},
                             {"unk_token", "<unk>"},
                             {"clean_up_tokenization_spaces", false}})
               .dump(2) +
           "\n";
}

}  // namespace anamnesis::train::synthetic
