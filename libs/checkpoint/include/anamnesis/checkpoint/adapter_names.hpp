// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::checkpoint {

/// How the name of an adapter's tensor came about that names nothing in a base, with what to do;
/// empty where that is not known.
std::string explain_adapter_name(std::string_view name);

}  // namespace anamnesis::checkpoint
