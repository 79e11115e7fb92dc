// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <map>
#include <string>

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::calibration {

/// An adapter as a network takes it, with the factors A in `fitted` (by their names in the adapter)
/// in place of its own.
/// Errors: `unsupported`, naming the module, for DoRA, biases and embeddings.
runtime::AdapterChoice choose_factors(const checkpoint::AdapterMatch& match,
                                      const at::TensorOptions& options,
                                      const std::map<std::string, at::Tensor>& fitted = {});

/// The tensors that the adapter holds in full, by their names in the base.
/// Errors: `unsupported` for rows of an embedding.
std::map<std::string, at::Tensor> read_saved(const checkpoint::AdapterMatch& match);

/// Errors: `unsupported`, naming the module, where a network has left one of the adapter's out.
void refuse_left_out(const checkpoint::AdapterMatch& match, const runtime::Network& network);

}  // namespace anamnesis::calibration
