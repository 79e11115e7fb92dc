// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::python {

/// The bytes of one tensor, wherever they lie on the host; keeps their owner alive.
using TensorBytes = nanobind::
    ndarray<const std::uint8_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

/// Name, dtype as safetensors spells it, shape, bytes.
using NamedTensor = std::tuple<std::string, std::string, std::vector<std::uint64_t>, TensorBytes>;
/// The same without bytes.
using NamedShape = std::tuple<std::string, std::string, std::vector<std::uint64_t>>;

/// A recognised checkpoint: of files, or of tensors in memory, which it keeps alive.
/// Owner: shared by the jobs that read it.
struct Source {
    checkpoint::RecognisedCheckpoint recognised;
    std::vector<NamedTensor> tensors{};
};

/// Declares `Source` and how one is made.
void declare_sources(nanobind::module_& module);

}  // namespace anamnesis::python
