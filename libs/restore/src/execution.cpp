// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "anamnesis/base/error.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {

void Execution::check() const {
    if (stop.stop_requested()) {
        throw Error(ErrorKind::cancelled, "interrupted; nothing of the output was kept");
    }
}

void Execution::advance(std::uint64_t bytes) const {
    if (progress != nullptr) {
        progress->advance(bytes);
    }
}

}  // namespace anamnesis::restore
