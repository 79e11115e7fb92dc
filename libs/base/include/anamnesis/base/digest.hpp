// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace anamnesis {

/// Streaming SHA-256 (OpenSSL).
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);

    /// 64 hexadecimal digits; ends the digest.
    std::string finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string compute_sha256(std::string_view text);

}  // namespace anamnesis
