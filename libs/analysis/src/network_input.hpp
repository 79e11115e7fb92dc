// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include <c10/util/Exception.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

/// [1, T] int64.
at::Tensor to_token_row(std::span<const std::int64_t> ids);

/// Errors: `mismatch` for an empty text or ids outside the vocabulary.
void check_ids(const runtime::Network& network, std::span<const std::int64_t> ids);

/// And for labels of another length or outside the vocabulary, or a text without predictions.
void check_text(const runtime::Network& network, const LabelledText& text);

/// Runs `body`; no exception of LibTorch leaves.
template <std::invocable Body>
decltype(auto) without_foreign_exceptions(Body&& body) {
    try {
        return std::forward<Body>(body)();
    } catch (const c10::Error& error) {
        const std::string text = error.what_without_backtrace();
        const bool is_memory = text.find("not enough memory") != std::string::npos ||
                               text.find("out of memory") != std::string::npos;
        throw Error(is_memory ? ErrorKind::exhausted : ErrorKind::internal, text);
    }
}

}  // namespace anamnesis::analysis
