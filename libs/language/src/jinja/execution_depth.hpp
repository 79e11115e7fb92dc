// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/error.hpp"

namespace anamnesis::language::jinja {

/// Counts calls and nodes within each other, so that no template ends the stack.
class ExecutionDepth {
public:
    /// Errors: `exhausted` beyond `most`.
    ExecutionDepth(int& depth, int most) : depth_(depth) {
        if (depth_ >= most) {
            throw Error(ErrorKind::exhausted, "the template's calls are nested too deeply");
        }
        ++depth_;
    }
    ~ExecutionDepth() { --depth_; }
    ExecutionDepth(const ExecutionDepth&) = delete;
    ExecutionDepth& operator=(const ExecutionDepth&) = delete;
    ExecutionDepth(ExecutionDepth&&) = delete;
    ExecutionDepth& operator=(ExecutionDepth&&) = delete;

private:
    int& depth_;
};

}  // namespace anamnesis::language::jinja
