// SPDX-License-Identifier: Apache-2.0
#include "network_input.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {
namespace {

void check_token(std::int64_t id, std::uint32_t vocabulary, const char* what, std::size_t at) {
    if (id < 0 || id >= std::int64_t{vocabulary}) {
        throw Error(
            ErrorKind::mismatch,
            format(
                "{} {} at position {} is outside the vocabulary of {}", what, id, at, vocabulary));
    }
}

}  // namespace

at::Tensor to_token_row(std::span<const std::int64_t> ids) {
    return at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
}

void check_ids(const runtime::Network& network, std::span<const std::int64_t> ids) {
    if (ids.empty()) {
        throw Error(ErrorKind::mismatch, "a text without tokens");
    }
    for (std::size_t t = 0; t < ids.size(); ++t) {
        check_token(ids[t], network.spec().vocabulary_size, "token id", t);
    }
}

void check_text(const runtime::Network& network, const LabelledText& text) {
    check_ids(network, text.ids);
    if (text.labels.size() != text.ids.size()) {
        throw Error(ErrorKind::mismatch,
                    format("{} labels for {} tokens", text.labels.size(), text.ids.size()));
    }
    for (std::size_t t = 1; t < text.labels.size(); ++t) {
        if (text.labels[t] != unsupervised) {
            check_token(text.labels[t], network.spec().vocabulary_size, "label", t);
        }
    }
    if (prediction_count(text) == 0) {
        throw Error(ErrorKind::mismatch,
                    "no label after the first token, so the text has no loss and no gradient");
    }
}

}  // namespace anamnesis::analysis
