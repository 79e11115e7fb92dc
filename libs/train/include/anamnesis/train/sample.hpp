// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/language/supervised_text.hpp"

namespace anamnesis::train {

/// One text to learn from. Labels as in a Batch.
using Sample = language::SupervisedText;

}  // namespace anamnesis::train
