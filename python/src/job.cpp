// SPDX-License-Identifier: Apache-2.0
#include "job.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"

namespace nb = nanobind;

namespace anamnesis::python {
namespace {

constexpr std::chrono::milliseconds poll(50);
constexpr unsigned most_threads = 1024;

const char* name_unit(ProgressUnit unit) {
    switch (unit) {
        case ProgressUnit::bytes:
            return "bytes";
        case ProgressUnit::tokens:
            return "tokens";
        case ProgressUnit::samples:
            return "samples";
        case ProgressUnit::steps:
            break;
    }
    return "steps";
}

struct Phase {
    std::string name;
    std::uint64_t total = 0;
    ProgressUnit unit = ProgressUnit::bytes;
    std::uint64_t done = 0;
};

struct Line {
    const char* level;  ///< a method of a logger
    std::string text;
};

/// What the job's threads tell, kept until the caller's thread takes it.
class Relay final : public Progress {
public:
    void begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) override {
        const std::lock_guard lock(mutex_);
        phases_.push_back({.name = std::string(phase), .total = total, .unit = unit});
        has_news_ = true;
    }
    void advance(std::uint64_t count) override {
        const std::lock_guard lock(mutex_);
        if (!phases_.empty()) {
            phases_.back().done += count;
            has_news_ = true;
        }
    }
    void finish() override {}

    void tell(const char* level, std::string_view text) {
        const std::lock_guard lock(mutex_);
        lines_.push_back({.level = level, .text = std::string(text)});
    }

    void end() {
        const std::lock_guard lock(mutex_);
        is_done_ = true;
        ended_.notify_all();
    }

    /// Whether the job has ended, after a while or at once.
    bool wait() {
        std::unique_lock lock(mutex_);
        return ended_.wait_for(lock, poll, [this] { return is_done_; });
    }

    /// Phases that began or went on since the last call. Of these the last may go on.
    std::vector<Phase> take_phases() {
        const std::lock_guard lock(mutex_);
        std::vector<Phase> news;
        if (std::exchange(has_news_, false)) {
            news = phases_;
            phases_.erase(phases_.begin(), phases_.end() - 1);
        }
        return news;
    }

    std::vector<Line> take_lines() {
        const std::lock_guard lock(mutex_);
        return std::exchange(lines_, {});
    }

private:
    std::mutex mutex_;
    std::condition_variable ended_;
    bool is_done_ = false;
    bool has_news_ = false;
    std::vector<Phase> phases_;
    std::vector<Line> lines_;
};

/// Hands on what the job told, and looks for signals. Throws what Python raises.
void attend(Relay& relay, const nb::object& progress) {
    const std::vector<Line> lines = relay.take_lines();
    if (!lines.empty()) {
        const nb::object logger = nb::module_::import_("logging").attr("getLogger")("anamnesis");
        for (const Line& line : lines) {
            logger.attr(line.level)("%s", line.text);
        }
    }
    for (const Phase& phase : relay.take_phases()) {
        if (!progress.is_none()) {
            progress(phase.name, phase.done, phase.total, name_unit(phase.unit));
        }
    }
    if (PyErr_CheckSignals() != 0) {
        throw nb::python_error();
    }
}

/// What went wrong, as an Error.
std::exception_ptr run_guarded(const std::function<void(const Watch&)>& job, const Watch& watch) {
    try {
        job(watch);
        return nullptr;
    } catch (const Error&) {
        return std::current_exception();
    } catch (const std::bad_alloc&) {
        return std::make_exception_ptr(Error(ErrorKind::exhausted, "out of memory"));
    } catch (const std::exception& error) {
        return std::make_exception_ptr(Error(ErrorKind::internal, error.what()));
    }
}

std::thread start(const std::function<void()>& body) {
    try {
        return std::thread(body);
    } catch (const std::system_error&) {
        throw Error(ErrorKind::exhausted, "no thread could be started for the job");
    }
}

}  // namespace

void run_job(const nb::object& progress, const std::function<void(const Watch&)>& job) {
    Relay relay;
    std::stop_source stop;
    const Watch watch(
        relay,
        stop.get_token(),
        [&relay](std::string_view line) { relay.tell("info", line); },
        [&relay](std::string_view line) { relay.tell("warning", line); });
    std::exception_ptr failure;
    std::exception_ptr raised;
    std::thread worker = start([&] {
        failure = run_guarded(job, watch);
        relay.end();
    });
    for (bool is_done = false; !is_done;) {
        {
            const nb::gil_scoped_release released;
            is_done = relay.wait();
        }
        if (raised) {
            continue;
        }
        try {
            attend(relay, progress);
        } catch (...) {
            raised = std::current_exception();
            stop.request_stop();
        }
    }
    {
        const nb::gil_scoped_release released;
        worker.join();
    }
    if (raised) {
        std::rethrow_exception(raised);
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

unsigned count_threads(unsigned threads) {
    if (threads > most_threads) {
        throw Error(ErrorKind::usage,
                    format("threads is {}, expected at most {}", threads, most_threads));
    }
    return threads == 0 ? available_threads() : threads;
}

}  // namespace anamnesis::python
