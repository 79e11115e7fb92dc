// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/run.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/packing_check.hpp"

namespace anamnesis::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

Json line_of(std::uint64_t step, const StepFigures& figures, double seconds) {
    return Json::Object{
        {"step", step},
        {"loss", figures.loss},
        {"grad_norm", figures.grad_norm},
        {"lr", figures.learning_rate},
        {"tokens", figures.tokens},
        {"supervised", figures.supervised},
        {"tokens_per_second", seconds > 0.0 ? static_cast<double>(figures.tokens) / seconds : 0.0}};
}

/// Holds the first row with two samples against them alone.
void check_first_pair(const runtime::Network& network, const BatchSource& source) {
    for (const Batch& batch : source.batches(0)) {
        if (batch.boundaries.size() > 2) {
            check_packing(network, batch);
            return;
        }
    }
}

}  // namespace

RunResult run(Trainer& trainer,
              const BatchSource& source,
              RunFolder& folder,
              const RunSettings& settings) {
    const Clock::time_point start = Clock::now();
    RunResult result;
    std::uint64_t saved = 0;
    if (const auto newest = folder.newest_state()) {
        runtime::at_the_door([&] { trainer.restore(newest->state); });
        result.first_step = newest->steps_done;
        saved = newest->steps_done;
    }
    Processes alone;
    Processes& processes = settings.processes == nullptr ? alone : *settings.processes;
    // What only the first process does may fail there; the others must not wait for it.
    const auto write = [&](const std::function<void()>& work) {
        processes.agree([&] {
            if (processes.is_first()) {
                work();
            }
        });
    };
    if (source.is_packed()) {
        processes.agree(
            [&] { runtime::at_the_door([&] { check_first_pair(trainer.network(), source); }); });
    }
    write([&] { folder.begin_metrics(result.first_step); });
    for (std::uint64_t step = result.first_step; step < settings.schedule.steps; ++step) {
        const Clock::time_point began = Clock::now();
        StepFigures figures;
        processes.agree([&] {
            figures = in_context([&] { return format("training step {}", step); },
                                 [&] {
                                     return runtime::at_the_door([&] {
                                         return trainer.step(source.batches(step),
                                                             settings.schedule.at(step));
                                     });
                                 });
        });
        result.last_loss = figures.loss;
        result.tokens += figures.tokens;
        Json line = line_of(step, figures, seconds_since(began));
        const std::uint64_t done = step + 1;
        write([&] {
            if (settings.evaluate && settings.evaluate_every > 0 &&
                done % settings.evaluate_every == 0) {
                line.set("evaluation",
                         runtime::at_the_door([&] { return settings.evaluate(done); }));
            }
            folder.append_metrics(line);
            if (settings.observer) {
                settings.observer(step, figures, line);
            }
        });
        const bool is_last = done == settings.schedule.steps;
        const bool is_cancelled = processes.any(settings.cancel.stop_requested()) && !is_last;
        if (is_cancelled ||
            (settings.save_every > 0 && done % settings.save_every == 0 && !is_last)) {
            write([&] { folder.save_state(done, trainer.state()); });
            saved = done;
        }
        if (is_cancelled) {
            throw Error(ErrorKind::cancelled,
                        format("interrupted behind step {} of {}; the same command goes on from "
                               "there",
                               saved,
                               settings.schedule.steps));
        }
    }
    result.seconds = seconds_since(start);
    return result;
}

}  // namespace anamnesis::train
