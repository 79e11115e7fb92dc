// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/digest.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <openssl/evp.h>
#include <openssl/types.h>

#include "anamnesis/base/check.hpp"

namespace anamnesis {

struct Sha256::State {
    struct Free {
        void operator()(EVP_MD_CTX* one) const noexcept { EVP_MD_CTX_free(one); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    ANAMNESIS_CHECK(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1,
                    "SHA-256 could not start");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
    ANAMNESIS_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1,
                    "SHA-256 failed");
}

void Sha256::update(std::string_view text) {
    update(std::as_bytes(std::span(text)));
}

std::string Sha256::finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
    unsigned length = 0;
    ANAMNESIS_CHECK(EVP_DigestFinal_ex(state_->context.get(), raw.data(), &length) == 1,
                    "SHA-256 could not end");
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(std::size_t{2} * length);
    for (unsigned i = 0; i < length; ++i) {
        text += digits[raw.at(i) >> 4U];
        text += digits[raw.at(i) & 15U];
    }
    return text;
}

std::string compute_sha256(std::string_view text) {
    Sha256 digest;
    digest.update(text);
    return digest.finish();
}

}  // namespace anamnesis
