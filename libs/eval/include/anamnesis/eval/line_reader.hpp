// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/io/line_reader.hpp"

namespace anamnesis::eval {

using io::JsonLineReader;
using io::LineReader;

}  // namespace anamnesis::eval
