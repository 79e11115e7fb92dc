// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/background_sync.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "anamnesis/io/file.hpp"

namespace anamnesis::io {

struct BackgroundSync::State {
    explicit State(std::vector<const File*> given) : files(std::move(given)) {}

    void sync_all() const {
        for (const File* file : files) {
            file->sync();
        }
    }

    /// Starts writing what is there, again and again, until the files are filled.
    void work(const std::stop_token& stop) {
        constexpr std::chrono::milliseconds between_rounds{5};
        std::unique_lock lock(mutex);
        while (!is_filled && !stop.stop_requested()) {
            lock.unlock();
            for (const File* file : files) {
                file->start_writeback();
            }
            lock.lock();
            changed.wait_for(lock, stop, between_rounds, [&] { return is_filled; });
        }
        const bool is_wanted = is_filled;
        lock.unlock();
        if (!is_wanted) {
            return;
        }
        try {
            sync_all();
        } catch (...) {
            error = std::current_exception();
        }
    }

    std::vector<const File*> files;
    std::mutex mutex;
    std::condition_variable_any changed;
    bool is_filled = false;
    std::exception_ptr error;
    std::jthread thread;
};

BackgroundSync::BackgroundSync(std::vector<const File*> files)
    : state_(std::make_unique<State>(std::move(files))) {
    if (state_->files.empty()) {
        return;
    }
    try {
        state_->thread = std::jthread(
            [state = state_.get()](const std::stop_token& stop) { state->work(stop); });
    } catch (const std::system_error&) {
        // `finish` does it all.
    }
}

BackgroundSync::~BackgroundSync() = default;

void BackgroundSync::begin_sync() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->is_filled = true;
    }
    state_->changed.notify_all();
}

void BackgroundSync::finish() {
    begin_sync();
    if (!state_->thread.joinable()) {
        state_->sync_all();
        return;
    }
    state_->thread.join();
    if (state_->error) {
        std::rethrow_exception(state_->error);
    }
}

}  // namespace anamnesis::io
