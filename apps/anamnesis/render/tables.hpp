// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/report/text_table.hpp"

namespace anamnesis::app {

using report::short_number;
using report::text_table;

}  // namespace anamnesis::app
