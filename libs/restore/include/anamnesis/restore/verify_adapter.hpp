// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify.hpp"

namespace anamnesis::restore {

/// Holds a repaired adapter against the adapter before and their base: which tensors and rows must
/// have left, which are the adapter's own, byte for byte, and what method pro or lerp must have
/// made of others, with moments also fit. As in `verify`, rows are derived from roles by a rule
/// that no writer shares; in a verdict `pre` is the base and `post` the adapter. Errors: those of
/// `refuse_unfit`; `mismatch` for adapter_config.json that tells other strengths.
Verification verify_adapter(const checkpoint::AdapterMatch& match,
                            const checkpoint::Adapter& repaired,
                            const Request& request,
                            const Execution& execution,
                            const MomentSource* moments = nullptr);

/// Holds a merged checkpoint against its base and adapter: restored rows and untouched tensors are
/// the base's bytes, all others W0 + scale B A, computed again in float64, within one rounding
/// (with MergeRounding::peft, within that of float32 sums as well). Cost: reads base and merged
/// once.
Verification verify_merge(const checkpoint::AdapterMatch& match,
                          const RecognisedCheckpoint& merged,
                          const Request& request,
                          MergeRounding rounding,
                          VerifyScope scope,
                          const Execution& execution);

}  // namespace anamnesis::restore
