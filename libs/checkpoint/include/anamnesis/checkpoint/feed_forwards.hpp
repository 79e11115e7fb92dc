// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "anamnesis/checkpoint/feed_forwards/dense.hpp"
#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

namespace anamnesis::checkpoint {

/// A feed-forward of a family whose layers are known by their attention alone: it cannot run.
struct UnknownFeedForward {};

/// A layer that has a mixer alone (Nemotron-H).
struct NoFeedForward {};

/// What a layer does to each token by itself. A new one is one file in feed_forwards/, its list of
/// tensors in src/feed_forwards/, and its name here.
using FeedForwardSpec = std::variant<UnknownFeedForward, NoFeedForward, DenseSpec, MixtureSpec>;

}  // namespace anamnesis::checkpoint
