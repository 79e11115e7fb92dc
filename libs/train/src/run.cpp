// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/run.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/packing_check.hpp"

namespace anamnesis::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

Json make_line(std::uint64_t step, const StepFigures& figures, double seconds) {
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

class Run {
public:
    Run(Trainer& trainer,
        const BatchSource& source,
        TrainingFolder& folder,
        const RunSettings& settings,
        const Watch& watch)
        : trainer_(trainer),
          source_(source),
          folder_(folder),
          settings_(settings),
          watch_(watch),
          processes_(settings.processes == nullptr ? alone_ : *settings.processes) {}

    RunResult take_all_steps() {
        const Clock::time_point start = Clock::now();
        resume();
        if (source_.is_packed()) {
            processes_.agree([&] {
                runtime::convert_torch_errors(
                    [&] { check_first_pair(trainer_.network(), source_); });
            });
        }
        watch_.progress().begin(settings_.phase, steps(), ProgressUnit::steps);
        watch_.progress().advance(result_.first_step);
        finish_line_of_last_step();
        for (std::uint64_t step = result_.first_step; step < steps(); ++step) {
            end_after_stop(step);
            take_step(step);
            const std::uint64_t done = step + 1;
            if (settings_.save_every > 0 && done % settings_.save_every == 0 && done < steps()) {
                save(done);
            }
        }
        watch_.progress().finish();
        result_.seconds = seconds_since(start);
        return result_;
    }

private:
    std::uint64_t steps() const { return settings_.schedule.steps; }

    void resume() {
        if (const auto newest = folder_.newest_state()) {
            runtime::convert_torch_errors([&] { trainer_.restore(newest->state); });
            result_.first_step = newest->steps_done;
            saved_ = newest->steps_done;
        }
    }

    /// What only the first process does may fail there; the others must not wait for it.
    void in_first_process(const std::function<void()>& work) {
        processes_.agree([&] {
            if (processes_.is_first()) {
                work();
            }
        });
    }

    /// Where the evaluation after the last whole step was cut short, it is made now.
    void finish_line_of_last_step() {
        in_first_process([&] {
            std::optional<Json> last = folder_.begin_metrics(result_.first_step);
            if (!last) {
                return;
            }
            result_.last_loss = last->at("loss").as_double("'loss'");
            if (is_evaluated_after(result_.first_step) && last->find("evaluation") == nullptr) {
                folder_.begin_metrics(result_.first_step - 1);
                evaluate_and_write(result_.first_step, *std::move(last));
            }
        });
    }

    bool is_evaluated_after(std::uint64_t done) const {
        return settings_.evaluate && settings_.evaluate_every > 0 &&
               done % settings_.evaluate_every == 0;
    }

    void end_after_stop(std::uint64_t done) {
        if (!processes_.any(watch_.is_stopped())) {
            return;
        }
        if (saved_ != done) {
            save(done);
        }
        throw make_interruption(done);
    }

    Error make_interruption(std::uint64_t done) const {
        return {ErrorKind::cancelled,
                done == 0 ? std::string("interrupted before the first step")
                          : format("interrupted after step {} of {}; run the same command to "
                                   "resume",
                                   done,
                                   steps())};
    }

    void save(std::uint64_t done) {
        in_first_process([&] { folder_.save_state(done, trainer_.state()); });
        saved_ = done;
    }

    void take_step(std::uint64_t step) {
        const Clock::time_point began = Clock::now();
        StepFigures figures;
        processes_.agree([&] {
            figures = in_context(
                [&] { return format("taking training step {}", step + 1); },
                [&] { return runtime::convert_torch_errors([&] { return move(step); }); });
        });
        result_.last_loss = figures.loss;
        result_.tokens += figures.tokens;
        const double seconds = seconds_since(began);
        Json line = make_line(step, figures, seconds);
        in_first_process([&] { evaluate_and_write(step + 1, std::move(line)); });
        watch_.progress().note(
            format("loss {:.4f}, {:.0f} tokens/s",
                   figures.loss,
                   seconds > 0.0 ? static_cast<double>(figures.tokens) / seconds : 0.0));
        watch_.progress().advance(1);
    }

    StepFigures move(std::uint64_t step) {
        try {
            return trainer_.step(source_.batches(step), settings_.schedule.at(step));
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::numerical) {
                throw;
            }
            throw Error(ErrorKind::numerical,
                        format("the loss is not a number at step {} of {}; lower --lr or raise "
                               "--warmup, and check the data{}",
                               step + 1,
                               steps(),
                               saved_ > 0 ? format("; the state after step {} is kept", saved_)
                                          : std::string()));
        }
    }

    /// In the first process alone. Whatever ends the evaluation, the step is not lost.
    void evaluate_and_write(std::uint64_t done, Json line) {
        try {
            if (is_evaluated_after(done)) {
                line.set("evaluation", runtime::convert_torch_errors([&] {
                             return settings_.evaluate(watch_.without_progress());
                         }));
            }
        } catch (const Error& error) {
            keep(done, line);
            if (error.kind() == ErrorKind::cancelled) {
                throw make_interruption(done);
            }
            throw;
        } catch (...) {
            keep(done, line);
            throw;
        }
        write(done, line);
    }

    void keep(std::uint64_t done, const Json& line) {
        write(done, line);
        if (saved_ != done) {
            folder_.save_state(done, trainer_.state());
        }
    }

    void write(std::uint64_t done, const Json& line) {
        folder_.append_metrics(line);
        if (settings_.on_line) {
            settings_.on_line(done - 1, line);
        }
    }

    Trainer& trainer_;
    const BatchSource& source_;
    TrainingFolder& folder_;
    const RunSettings& settings_;
    const Watch& watch_;
    Processes alone_;
    Processes& processes_;
    std::uint64_t saved_ = 0;  ///< steps done in the newest state
    RunResult result_;
};

}  // namespace

RunResult run(Trainer& trainer,
              const BatchSource& source,
              TrainingFolder& folder,
              const RunSettings& settings,
              const Watch& watch) {
    return Run(trainer, source, folder, settings, watch).take_all_steps();
}

}  // namespace anamnesis::train
