// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anamnesis::testing {

/// The bytes of a GGUF file, put together by hand so that tests do not trust a writer of ours.
class GgufBytes {
public:
    static std::string number(auto value) {
        std::string bytes(sizeof(value), '\0');
        std::memcpy(bytes.data(), &value, sizeof(value));
        return bytes;
    }
    static std::string text(std::string_view value) {
        return number(std::uint64_t{value.size()}) + std::string(value);
    }

    /// `type` is the number of the value's type, `value` its bytes.
    GgufBytes& key(std::string_view name, std::uint32_t type, const std::string& value) {
        keys_ += text(name) + number(type) + value;
        ++key_count_;
        return *this;
    }
    GgufBytes& key(std::string_view name, std::string_view value) {
        return key(name, 8, text(value));
    }
    GgufBytes& key(std::string_view name, std::uint32_t value) {
        return key(name, 4, number(value));
    }
    GgufBytes& array(std::string_view name,
                     std::uint32_t type,
                     const std::vector<std::string>& elements) {
        std::string value = number(type) + number(std::uint64_t{elements.size()});
        for (const std::string& element : elements) {
            value += element;
        }
        return key(name, 9, value);
    }
    /// `dimensions` in the order of the file: the row length first.
    GgufBytes& tensor(std::string_view name,
                      const std::vector<std::uint64_t>& dimensions,
                      std::uint32_t type,
                      const std::string& data) {
        infos_ += text(name) + number(static_cast<std::uint32_t>(dimensions.size()));
        for (const std::uint64_t size : dimensions) {
            infos_ += number(size);
        }
        infos_ += number(type) + number(std::uint64_t{data_.size()});
        data_ += data;
        data_.resize((data_.size() + alignment_ - 1) / alignment_ * alignment_, '\0');
        ++tensor_count_;
        return *this;
    }
    /// For the tensors that follow.
    GgufBytes& alignment(std::uint32_t value) {
        alignment_ = value;
        return key("general.alignment", value);
    }

    std::string bytes(std::uint32_t version = 3) const {
        std::string all =
            "GGUF" + number(version) + number(tensor_count_) + number(key_count_) + keys_ + infos_;
        all.resize((all.size() + alignment_ - 1) / alignment_ * alignment_, '\0');
        return all + data_;
    }

private:
    std::string keys_;
    std::string infos_;
    std::string data_;
    std::uint64_t key_count_ = 0;
    std::uint64_t tensor_count_ = 0;
    std::uint32_t alignment_ = 32;
};

}  // namespace anamnesis::testing
