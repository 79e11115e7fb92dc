// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"

namespace anamnesis::checkpoint {

/// Reads keys of a config.json, per key: inside `text_config` first (multimodal wrappers), then at
/// the top level. JSON null reads as absent; numbers may be written as strings.
/// Errors: `malformed`, naming the key, for a value of a wrong type.
class ConfigReader {
public:
    explicit ConfigReader(const Json& root);

    const Json& root() const { return root_; }

    /// Null where the key is absent or null.
    const Json* find(std::string_view key) const;
    bool has(std::string_view key) const { return find(key) != nullptr; }
    /// True only for a key that is present with the value null.
    bool is_null(std::string_view key) const;

    /// A whole number from 0 to `largest_count`.
    std::optional<std::uint32_t> find_count(std::string_view key) const;
    std::uint32_t count(std::string_view key, std::uint32_t fallback) const;
    /// The first key that is there. Errors: `malformed` where none is.
    std::uint32_t first_count(std::initializer_list<std::string_view> keys) const;
    std::optional<double> find_number(std::string_view key) const;
    bool flag(std::string_view key, bool fallback) const;
    std::optional<std::string> find_word(std::string_view key) const;
    /// A list of words, or a Python list written as one string: "['jet', 'attn']".
    std::optional<std::vector<std::string>> find_words(std::string_view key) const;
    std::optional<std::vector<std::uint32_t>> find_counts(std::string_view key) const;

    /// No layer, head or width of a real model is larger; keeps sizes far from overflow.
    static constexpr std::uint32_t largest_count = 1U << 24U;

private:
    const Json* find_stated(std::string_view key) const;

    const Json& root_;
    const Json* text_ = nullptr;
};

/// A count or a number out of `value`; `what` names it in errors.
std::uint32_t count_from(const Json& value, std::string_view what);
double number_from(const Json& value, std::string_view what);

}  // namespace anamnesis::checkpoint
