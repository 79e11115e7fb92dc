// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "clean_names.hpp"

namespace anamnesis::restore {

/// The header that each file of post has in the output, where it is not post's own: with clean
/// names, or a GGUF file with one key more ("anamnesis.repair"), which moves all tensors by the
/// same number of bytes.
std::vector<RenamedFile> make_output_headers(const Plan& plan, const OutputOptions& options);

}  // namespace anamnesis::restore
