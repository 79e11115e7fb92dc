// SPDX-License-Identifier: Apache-2.0
#include "tokenizer_json.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {
namespace {

[[noreturn]] void refuse(const std::string& message) {
    throw Error(ErrorKind::malformed, message);
}

/// Builds a tree of everything but the vocabulary and the merges.
class Reader final : public JsonEvents {
public:
    explicit Reader(bool is_bare_vocabulary) : is_bare_vocabulary_(is_bare_vocabulary) {}

    TokenizerJson result;

    void null() override { value(Json()); }
    void boolean(bool it) override { value(Json(it)); }
    void integer(std::int64_t it) override { value(Json(it)); }
    void real(double it) override { value(Json(it)); }
    void unsigned_integer(std::uint64_t it) override {
        if (part_ == Part::vocabulary) {
            result.ids.push_back(it);
            return;
        }
        value(Json(it));
    }
    void string(std::string& it) override {
        if (part_ == Part::merges) {
            if (in_pair_) {
                result.merges.add(it);
                ++pair_size_;
            } else {
                add_merge(result.merges, it);
            }
            return;
        }
        value(Json(std::move(it)));
    }
    void begin_object() override {
        if (part_ != Part::rest) {
            wrong_entry();
        }
        const bool is_vocabulary =
            is_bare_vocabulary_ ? open_.empty() : is_in_model() && open_.back().key == "vocab";
        if (is_vocabulary) {
            once(has_vocabulary_, "vocab");
            part_ = Part::vocabulary;
            return;
        }
        open_.push_back({.value = Json::object()});
    }
    void key(std::string& name) override {
        if (part_ == Part::vocabulary) {
            result.tokens.add(name);
            return;
        }
        open_.back().key = std::move(name);
    }
    void end_object() override {
        if (part_ == Part::vocabulary) {
            part_ = Part::rest;
            if (!open_.empty()) {
                open_.back().members.emplace_back(open_.back().key, Json());
            }
            return;
        }
        Open top = std::move(open_.back());
        open_.pop_back();
        std::vector<std::string_view> names;
        names.reserve(top.members.size());
        for (const auto& [name, member] : top.members) {
            names.push_back(name);
        }
        std::ranges::sort(names);
        const auto twice = std::ranges::adjacent_find(names);
        if (twice != names.end()) {
            refuse(format("duplicate key {} in one object", in_quotes(*twice)));
        }
        value(Json(std::move(top.members)));
    }
    void begin_array() override {
        if (part_ == Part::merges && !in_pair_) {
            in_pair_ = true;
            pair_size_ = 0;
            return;
        }
        if (part_ != Part::rest) {
            wrong_entry();
        }
        if (is_in_model() && open_.back().key == "merges") {
            once(has_merges_, "merges");
            part_ = Part::merges;
            return;
        }
        open_.push_back({.value = Json::array()});
    }
    void end_array() override {
        if (part_ == Part::merges) {
            if (!in_pair_) {
                part_ = Part::rest;
                open_.back().members.emplace_back(open_.back().key, Json());
                return;
            }
            if (pair_size_ != 2) {
                refuse(format(
                    "merge {} has {} parts, 2 are needed", result.merges.size() / 2, pair_size_));
            }
            in_pair_ = false;
            return;
        }
        Json top = std::move(open_.back().value);
        open_.pop_back();
        value(std::move(top));
    }

private:
    enum class Part : std::uint8_t { rest, vocabulary, merges };
    struct Open {
        Json value{};
        std::string key{};
        Json::Object members{};
    };

    bool is_in_model() const {
        return open_.size() == 2 && open_[0].value.is_object() && open_[1].value.is_object() &&
               open_[0].key == "model";
    }
    static void once(bool& seen, std::string_view what) {
        if (seen) {
            refuse(format("duplicate key '{}'", what));
        }
        seen = true;
    }
    [[noreturn]] void wrong_entry() const {
        if (part_ == Part::vocabulary) {
            refuse(format("the id of token {} is no whole number",
                          in_quotes(result.tokens.at(result.tokens.size() - 1))));
        }
        refuse(format("merge {} is neither \"a b\" nor [\"a\", \"b\"]", result.merges.size() / 2));
    }
    void value(Json it) {
        if (part_ != Part::rest) {
            wrong_entry();
        }
        if (open_.empty()) {
            result.rest = std::move(it);
        } else if (open_.back().value.is_object()) {
            open_.back().members.emplace_back(open_.back().key, std::move(it));
        } else {
            open_.back().value.push_back(std::move(it));
        }
    }

    bool is_bare_vocabulary_;
    Part part_ = Part::rest;
    bool in_pair_ = false;
    std::size_t pair_size_ = 0;
    bool has_vocabulary_ = false;
    bool has_merges_ = false;
    std::vector<Open> open_;
};

}  // namespace

void BulkTexts::add(std::string_view text) {
    texts += text;
    if (texts.size() > 0xFFFFFFFFU) {
        throw Error(ErrorKind::exhausted, "the tokens have more than 4 GB");
    }
    ends.push_back(static_cast<std::uint32_t>(texts.size()));
}

void add_merge(BulkTexts& merges, std::string_view line) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos) {
        refuse(format("merge {} is {}, which is no pair with one space between",
                      merges.size() / 2,
                      in_quotes(line)));
    }
    merges.add(line.substr(0, space));
    merges.add(line.substr(space + 1));
}

TokenizerJson read_tokenizer_json(std::string_view json) {
    Reader reader(false);
    read_json(json, reader);
    return std::move(reader.result);
}

TokenizerJson read_vocab_json(std::string_view json) {
    Reader reader(true);
    read_json(json, reader);
    return std::move(reader.result);
}

}  // namespace anamnesis::language
