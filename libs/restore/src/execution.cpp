// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {

void Execution::check() const {
    throw_if_stopped(watch,
                     [] { return std::string("interrupted; nothing of the output was kept"); });
}

void Execution::advance(std::uint64_t bytes) const {
    watch.progress().advance(bytes);
}

}  // namespace anamnesis::restore
