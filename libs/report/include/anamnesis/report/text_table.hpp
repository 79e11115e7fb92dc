// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace anamnesis::report {

/// Columns of text for a terminal, padded to the widest cell. A column whose name begins with '>'
/// is right-aligned (the sign is not printed). Control bytes of cells are escaped.
std::string text_table(const std::vector<std::string>& columns,
                       std::vector<std::vector<std::string>> rows);

/// "0.1234", "1.2e-05", "-" for nothing to say.
std::string short_number(double value);

}  // namespace anamnesis::report
