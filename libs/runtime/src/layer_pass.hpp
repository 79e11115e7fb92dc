// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "layer.hpp"
#include "layer_call.hpp"

namespace anamnesis::runtime {

/// One text of a packed row.
struct Segment {
    std::int64_t begin = 0;
    std::int64_t length = 0;
    Call call;
};

/// What all layers of one pass share.
struct Passage {
    Call call;
    std::vector<std::int64_t> boundaries{};  ///< of the texts of a packed row; else empty
    std::vector<Segment> segments{};         ///< these texts
};
Passage make_passage(const Call& call, std::span<const std::int64_t> boundaries);

/// The residual stream after a layer.
/// Shapes: x [B, T, d] -> [B, wanted, d], of all tokens unless the call says otherwise. `states` as
/// for mixers.
at::Tensor pass(const LoadedLayer& layer,
                const at::Tensor& x,
                const Passage& passage,
                std::span<LayerState* const> states);

/// The same for a whole text, of whose graph the stream alone is kept: the backward pass runs the
/// layer again.
at::Tensor pass_and_forget(const LoadedLayer& layer,
                           const at::Tensor& x,
                           const std::shared_ptr<const Passage>& passage);

/// x * scale, or x itself.
at::Tensor scaled(const at::Tensor& x, double scale);

}  // namespace anamnesis::runtime
