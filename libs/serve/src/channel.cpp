// SPDX-License-Identifier: Apache-2.0
#include "channel.hpp"

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::serve {

void Channel::push(Event event) {
    const std::lock_guard lock(mutex_);
    if (is_closed_) {
        return;
    }
    if (events_.size() >= capacity_) {
        fail_locked(Error(ErrorKind::exhausted,
                          format("the client left {} pieces of its answer unread", capacity_)));
        return;
    }
    events_.push_back(std::move(event));
    arrived_.notify_one();
}

void Channel::fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!is_closed_) {
        fail_locked(std::move(error));
    }
}

void Channel::fail_locked(Error error) {
    events_.emplace_back(RequestFailed{std::move(error)});
    is_closed_ = true;
    arrived_.notify_one();
}

std::optional<Event> Channel::pop(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, patience, [&] { return !events_.empty(); });
    if (events_.empty()) {
        return std::nullopt;
    }
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

void Channel::close() {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    events_.clear();
}

bool Channel::is_closed() const {
    const std::lock_guard lock(mutex_);
    return is_closed_;
}

}  // namespace anamnesis::serve
