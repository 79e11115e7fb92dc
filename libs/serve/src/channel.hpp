// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

#include "anamnesis/base/error.hpp"

#include "job.hpp"

namespace anamnesis::serve {

/// What the engine tells the thread that answers a request. The engine never waits for it: a reader
/// that leaves too much lying loses its request.
///
/// Threads: all functions may be called at once.
class Channel {
public:
    /// Holds so many events that were not yet read.
    explicit Channel(std::size_t capacity = 4096) : capacity_(capacity) {}

    /// Dropped once closed. Beyond the capacity the channel closes, and the reader gets the reason.
    void push(Event event);

    /// Closes with a reason, which the reader gets after what it has not yet read.
    void fail(Error error);

    /// The next event; nothing where none comes in time.
    std::optional<Event> pop(std::chrono::milliseconds patience);

    /// The reader has gone.
    void close();
    bool is_closed() const;

private:
    void fail_locked(Error error);

    std::size_t capacity_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Event> events_;
    bool is_closed_ = false;
};

}  // namespace anamnesis::serve
