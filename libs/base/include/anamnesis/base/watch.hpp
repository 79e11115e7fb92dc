// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stop_token>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"

namespace anamnesis {

/// What the caller of a long job hands it: where it reports, and what ends it early. A default one
/// tells nobody and never stops. It is a plain value: copies report to the same place, which must
/// outlive them.
class Watch {
public:
    /// Takes one whole line without its end.
    using Log = std::function<void(std::string_view line)>;

    Watch() = default;
    Watch(Progress& progress, std::stop_token stop, Log log = {}, Log warn = {})
        : progress_(&progress),
          stop_(std::move(stop)),
          log_(std::move(log)),
          warn_(std::move(warn)) {}

    Progress& progress() const noexcept { return *progress_; }

    /// Tells what happened; a quiet caller drops it.
    void log(std::string_view line) const {
        if (log_) {
            log_(line);
        }
    }
    /// Tells what may make the result wrong.
    void warn(std::string_view line) const {
        if (warn_) {
            warn_(line);
        }
    }

    const std::stop_token& stop() const noexcept { return stop_; }
    bool is_stopped() const noexcept { return stop_.stop_requested(); }

    /// The same stop and lines without progress: for a job within a job that shows its own.
    Watch without_progress() const {
        Watch watch = *this;
        watch.progress_ = &silent_progress();
        return watch;
    }

private:
    static SilentProgress& silent_progress() noexcept {
        static SilentProgress silent;  // holds no state
        return silent;
    }

    Progress* progress_ = &silent_progress();
    std::stop_token stop_{};
    Log log_{};
    Log warn_{};
};

/// Ends a job that was asked to stop. Errors: `cancelled`, with what `make_text` says of the state
/// it leaves; the text is made only then.
template <class MakeText>
void throw_if_stopped(const Watch& watch, const MakeText& make_text) {
    if (watch.is_stopped()) {
        throw Error(ErrorKind::cancelled, make_text());
    }
}

}  // namespace anamnesis
