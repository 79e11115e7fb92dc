// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"

namespace anamnesis::bench {

/// A published model's config.json and the tensors that its checkpoint has, all bfloat16.
struct Shape {
    Json config;
    std::vector<formats::TensorSpec> tensors;
};

/// What a layer mixes tokens with.
enum class Mixing : std::uint8_t { softmax, linear };

/// `name`: hypenet (2 B: Qwen3 1.7 B with three lightning layers to one of softmax attention),
/// qwen3 (0.6 B), hybrid (Qwen3.5, 2 B: three gated delta layers to one of softmax attention).
/// `scale`: full, or small: four layers a sixteenth as wide, to try a benchmark.
/// Errors: `usage` for another word.
Shape make_shape(const std::string& name, const std::string& scale);

/// Writes a checkpoint of that shape with normal weights (deviation 0.02; gains 1, or 0 where they
/// are stored as offsets), drawn on `device`.
void write_made_up_model(const Shape& shape,
                         at::Device device,
                         const std::filesystem::path& folder);

}  // namespace anamnesis::bench
