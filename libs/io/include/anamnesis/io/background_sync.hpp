// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

/// Brings files to the disk while they are still being filled, on a thread that only waits for the
/// disk, so that little is left when the last byte is written. A machine that grants no thread
/// writes all of it in `finish`.
///
/// Owner: the thread; the files must stay open as long. Destroyed before `finish`, it leaves them
/// as they are.
class BackgroundSync {
public:
    explicit BackgroundSync(std::vector<const File*> files);
    BackgroundSync(const BackgroundSync&) = delete;
    BackgroundSync& operator=(const BackgroundSync&) = delete;
    ~BackgroundSync();

    /// Nothing more is written to the files: they are synced from now on.
    void begin_sync();

    /// Waits until data and lengths of all files are on the disk. Errors: those of `File::sync`.
    void finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace anamnesis::io
