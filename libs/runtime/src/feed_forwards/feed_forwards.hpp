// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "feed_forwards/dense.hpp"
#include "feed_forwards/mixture.hpp"
#include "feed_forwards/none.hpp"

namespace anamnesis::runtime {

/// Every feed-forward that runs. A new one is a pair of files here and its name in this list.
using FeedForward = std::variant<NoFeedForwardLayer, DenseFeedForward, MixtureFeedForward>;

}  // namespace anamnesis::runtime
