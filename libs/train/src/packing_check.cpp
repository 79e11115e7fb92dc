// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/packing_check.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::train {

void check_packing(const runtime::Network& network,
                   const Batch& packed,
                   const PackedForward& forward) {
    if (packed.boundaries.size() < 3) {
        return;
    }
    // As in training: without gradients the network takes other ways.
    const at::AutoGradMode records(true);
    const std::array pair{packed.boundaries[0], packed.boundaries[1], packed.boundaries[2]};
    const std::span<const std::int64_t> both =
        std::span(packed.ids).first(static_cast<std::size_t>(pair[2]));
    const at::Tensor ids =
        at::tensor(std::vector<std::int64_t>(both.begin(), both.end()), at::kLong).unsqueeze(0);
    const at::Tensor together = forward(ids, pair).detach();
    const at::Tensor alone = at::cat({network.forward(ids.narrow(1, 0, pair[1])),
                                      network.forward(ids.narrow(1, pair[1], pair[2] - pair[1]))},
                                     1)
                                 .detach();
    const double size = alone.square().mean().item<double>();
    const double error = (together - alone).square().mean().item<double>();
    constexpr double tolerance = 1e-4;
    // Written so that NaN fails.
    if (!(error <= tolerance * tolerance * size)) {
        throw Error(ErrorKind::internal,
                    format("two packed samples of {} and {} tokens differ by {:.2e} (relative) "
                           "from the two alone: state crosses their boundary; not training",
                           pair[1],
                           pair[2] - pair[1],
                           std::sqrt(error / size)));
    }
}

void check_packing(const runtime::Network& network, const Batch& packed) {
    check_packing(
        network, packed, [&](const at::Tensor& ids, std::span<const std::int64_t> boundaries) {
            return network.forward_packed(ids, boundaries);
        });
}

}  // namespace anamnesis::train
