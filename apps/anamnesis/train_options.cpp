// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {
namespace {

void declare_optimiser(CLI::App& verb, TrainOptions& options) {
    verb.add_option("--lr", options.learning_rate, "Highest learning rate (1e-4)")
        ->check(CLI::PositiveNumber);
    verb.add_option("--schedule", options.schedule, "constant, linear or cosine (default)")
        ->check(CLI::IsMember({"constant", "linear", "cosine"}));
    verb.add_option("--warmup", options.warmup, "Steps in which the learning rate rises (0)");
    verb.add_option("--min-lr-ratio",
                    options.min_lr_ratio,
                    "The last step's learning rate, as a share of the highest (0)")
        ->check(CLI::Range(0.0, 1.0));
    verb.add_option("--betas", options.betas, "AdamW's (0.9,0.95)")
        ->delimiter(',')
        ->expected(2)
        ->check(CLI::Range(0.0, 0.9999999));
    verb.add_option("--eps", options.eps, "AdamW's (1e-8)")->check(CLI::PositiveNumber);
    verb.add_option("--weight-decay", options.weight_decay, "Of matrices (0)")
        ->check(CLI::NonNegativeNumber);
    verb.add_option("--clip", options.clip, "Largest norm of the gradients (1); 0: no limit")
        ->check(CLI::NonNegativeNumber);
    verb.add_option("--dtype", options.dtype, "f32 (default), or bf16 with float32 masters")
        ->check(CLI::IsMember({"f32", "bf16"}));
    verb.add_option("--device",
                    options.device,
                    "cpu (default), cuda or cuda:N; of several processes on a machine each takes "
                    "the next one");
}

void declare_data(CLI::App& verb, TrainOptions& options) {
    auto* batches = verb.add_option(
        "--batches", options.batches, ".safetensors with input_ids and labels [steps, B, T]");
    auto* data =
        verb.add_option("--data",
                        options.data,
                        "JSON-lines files (docs/training.md), or one synthetic:TASK, made as it is "
                        "needed: retrieval, lookup, arithmetic, cot, instruct or mix");
    data->excludes(batches);
    verb.add_option("--stages",
                    options.stages,
                    "Synthetic data: STEPSxROWSxLENGTH,… (150x32x64,500x20x128,330x12x256)")
        ->delimiter(',')
        ->needs(data);
    verb.add_flag("--chat", options.chat, "Conversations in the checkpoint's chat template")
        ->needs(data);
    verb.add_flag("--loss-on-all", options.learns_prompts, "Learn prompts too, not only responses")
        ->needs(data);
    verb.add_option("--batch-size", options.batch_size, "Rows of a batch (8)")
        ->check(CLI::Range(1U, 1U << 20U));
    verb.add_option("--length", options.length, "Tokens of a sample, or of a packed row")
        ->check(CLI::Range(2U, 1U << 24U));
    verb.add_flag("--pack", options.is_packed, "Several samples in a row, none sees another")
        ->needs(data);
    verb.add_flag("--checkpoint-activations",
                  options.recomputes_layers,
                  "Compute layers again in the backward pass: less memory, a third more work");
    verb.add_option("--accumulate", options.accumulated, "Batches of a step (1)")
        ->check(CLI::Range(1U, 1U << 20U));
    verb.add_option("--seed", options.seed, "Of the order of samples (0)");
}

void declare_replay_and_evaluation(CLI::App& verb, TrainOptions& options) {
    auto* replay = verb.add_option("--replay",
                                   options.replay,
                                   "JSON-lines file or synthetic:TASK whose rows are mixed into "
                                   "every step, against forgetting");
    verb.add_option("--replay-rows", options.replay_rows, "Rows of it in each step (2)")
        ->check(CLI::Range(1U, 1U << 20U))
        ->needs(replay);
    auto* every =
        verb.add_option("--eval-every",
                        options.evaluate_every,
                        "Steps between measurements of recall and reasoning, into metrics.jsonl");
    verb.add_option("--eval-lengths", options.evaluated_lengths, "Tokens (128,256,512)")
        ->delimiter(',')
        ->check(CLI::Range(68U, 1U << 20U))
        ->needs(every);
    verb.add_option("--eval-samples", options.evaluated_samples, "Of each task and length (50)")
        ->check(CLI::Range(1U, 1U << 24U))
        ->needs(every);
    auto* reason = verb.add_option("--eval-reason",
                                   options.evaluated_task,
                                   "Reasoning too, as 'reason --task': gsm8k, math500, …")
                       ->needs(every);
    auto* data = verb.add_option("--eval-data", options.evaluated_data, "Its problems");
    data->needs(reason);
    reason->needs(data);
    verb.add_flag("--tensorboard", options.tensorboard, "Metrics for TensorBoard too");
}

void declare_groups(CLI::App& verb, TrainOptions& options) {
    verb.add_option("--freeze",
                    options.frozen,
                    "Groups that stay as they are: q, k, v, o, gate, latent, mlp, mixer, norms, "
                    "embedding, head, joined by '+'; qk is q+k; '@3,7' limits them to layers");
    verb.add_option("--lr-scale", options.rates, "qk=0.1: a share of the learning rate");
    verb.add_option("--anchor", options.anchors, "qk=0.01: pull to the start, a/2 |w - start|^2");
}

}  // namespace

CLI::App* declare_verb(CLI::App& app, TrainOptions& options) {
    CLI::App* verb = app.add_subcommand("train", "Train a checkpoint");
    auto* start = verb->add_option_group("start");
    start->add_option("--model", options.checkpoint, "Checkpoint folder to start from");
    start->add_option("--init", options.init, "config.json of a model with random weights");
    start->require_option(1);
    verb->add_option("--initializer",
                     options.initializer,
                     "With --init: range (the config's initializer_range, default) or fan_in")
        ->check(CLI::IsMember({"range", "fan_in"}));
    verb->add_option("--out", options.out, "Folder to write; the same command resumes there")
        ->required();
    declare_data(*verb, options);
    verb->add_option("--steps", options.steps, "Steps of the optimiser");
    declare_optimiser(*verb, options);
    declare_groups(*verb, options);
    declare_replay_and_evaluation(*verb, options);
    verb->add_option("--save-every", options.save_every, "Steps between states to resume from (0)");
    declare(*verb, options.reading);
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
