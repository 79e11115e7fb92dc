// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>

namespace anamnesis::app {

/// A token that SIGINT and SIGTERM trip; a second signal ends the process at once.
std::stop_token stop_on_signal();

}  // namespace anamnesis::app
