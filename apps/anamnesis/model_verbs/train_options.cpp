// SPDX-License-Identifier: Apache-2.0
#include "model_verbs/train_options.hpp"

#include <CLI/CLI.hpp>

#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/schedule.hpp"

#include "option_group.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {
namespace {

void declare_start(CLI::App& app, TrainOptions& options) {
    OptionGroup(app, "Required")
        .option("--out", options.job.out, "The folder to write; the same command resumes there.")
        ->required();
    OptionGroup start(app, "Where training starts (--model or --init)");
    auto* model = start.option("--model", options.job.checkpoint, "A checkpoint folder.");
    start.option("--init", options.init, "A config.json, for a model with random weights.")
        ->excludes(model);
    start
        .word("--initializer",
              options.initialiser,
              train::initialiser_words,
              "With --init: range (the config's initializer_range) or fan_in.")
        ->default_str("range");
}

void declare_data(CLI::App& app, TrainOptions& options) {
    OptionGroup group(app, "Data (--data or --batches)");
    auto* batches = group.option("--batches",
                                 options.job.data.batches,
                                 "A .safetensors file with input_ids and labels [steps, B, T].");
    auto* data =
        group.option("--data",
                     options.data,
                     "JSON-lines files (docs/training.md), or one synthetic:TASK, made as it is "
                     "needed: retrieval, lookup, arithmetic, cot, instruct or mix.");
    data->excludes(batches);
    group
        .option("--stages",
                options.stages,
                "Synthetic data: STEPSxROWSxLENGTH with commas, as "
                "150x32x64,500x20x128,330x12x256.")
        ->delimiter(',')
        ->needs(data);
    group
        .flag("--chat",
              options.job.data.uses_chat_template,
              "Put conversations into the checkpoint's chat template.")
        ->needs(data);
    group
        .flag("--loss-on-all",
              options.job.data.learns_prompts,
              "Learn prompts too, not only responses.")
        ->needs(data);
    group.option("--batch-size", options.job.data.rows, "Rows of a batch.")
        ->check(CLI::Range(1U, 1U << 20U));
    group.option("--length", options.job.data.length, "Tokens of a sample, or of a packed row.")
        ->check(CLI::Range(2U, 1U << 24U))
        ->default_str("");
    group
        .flag("--pack",
              options.job.data.is_packed,
              "Put several samples in a row; none sees another.")
        ->needs(data);
    group.option("--accumulate", options.job.data.accumulated, "Batches of a step.")
        ->check(CLI::Range(1U, 1U << 20U));
    group.option("--seed", options.job.data.seed, "The seed of the order of samples.");
    auto* replay = group.option("--replay",
                                options.replay,
                                "A JSON-lines file or synthetic:TASK whose rows are mixed into "
                                "every step, against forgetting.");
    group.option("--replay-rows", options.replay_rows, "Rows of it in each step.")
        ->check(CLI::Range(1U, 1U << 20U))
        ->needs(replay);
}

void declare_optimiser(CLI::App& app, TrainOptions& options) {
    OptionGroup group(app, "Optimiser");
    group.option("--steps", options.job.steps, "Steps of the optimiser.")->check(find_text_of_zero);
    group.option("--lr", options.job.learning_rate, "The highest learning rate.")
        ->check(find_text_below_zero);
    group
        .word("--schedule",
              options.job.decay,
              train::decay_words,
              "The decay: constant, linear or cosine.")
        ->default_str("cosine");
    group.option("--warmup", options.job.warmup, "Steps in which the learning rate rises.");
    group
        .option("--min-lr-ratio",
                options.job.min_lr_ratio,
                "The last step's learning rate, as a share of the highest.")
        ->check(CLI::Range(0.0, 1.0));
    group.option("--betas", options.betas, "AdamW's betas.")
        ->delimiter(',')
        ->expected(2)
        ->check(CLI::Range(0.0, 0.9999999))
        ->default_str("0.9,0.95");
    group.option("--eps", options.job.adamw.eps, "AdamW's epsilon.")->check(find_text_below_zero);
    group.option("--weight-decay", options.job.adamw.weight_decay, "The weight decay of matrices.")
        ->check(CLI::Range(0.0, 1e9));
    group.option("--clip", options.job.clip, "The largest norm of the gradients; 0 is no limit.")
        ->check(CLI::Range(0.0, 1e9));
}

void declare_groups(CLI::App& app, TrainOptions& options) {
    OptionGroup group(app, "Groups of weights");
    group.option("--freeze",
                 options.job.rules.frozen,
                 "Groups that stay as they are: q, k, v, o, gate, latent, mlp, mixer, norms, "
                 "embedding, head, joined by '+'; qk is q+k; '@3,7' limits them to layers.");
    group.option("--lr-scale", options.job.rules.rates, "qk=0.1: a share of the learning rate.");
    group.option("--lora",
                 options.lora,
                 "Train an adapter in PEFT's form: r=16,alpha=32,targets=q_proj,v_proj (also "
                 "rslora=true; without targets all matrices of the layers), or the folder of one "
                 "to go on from. --freeze qk: no adapter there.");
    group.option(
        "--anchor", options.job.rules.anchors, "qk=0.01: a pull to the start, a/2 |w - start|^2.");
}

void declare_evaluation(CLI::App& app, TrainOptions& options) {
    OptionGroup group(app, "Evaluation while training");
    auto* every =
        group.option("--eval-every",
                     options.job.evaluation.every,
                     "Steps between measurements of recall and reasoning, into metrics.jsonl.");
    every->default_str("")->check(find_text_of_zero);
    group.option("--eval-lengths", options.job.evaluation.lengths, "Contexts of recall in tokens.")
        ->delimiter(',')
        ->check(CLI::Range(68U, 1U << 20U))
        ->needs(every)
        ->default_str("128,256,512");
    group
        .option(
            "--eval-samples", options.job.evaluation.samples, "Samples of each task and length.")
        ->check(CLI::Range(1U, 1U << 24U))
        ->needs(every);
    auto* reason = group
                       .option("--eval-reason",
                               options.evaluated_task,
                               "Measure reasoning too, on a task of 'reason --task': gsm8k, "
                               "math500, aime24, amc23 or custom. Answers take up to 8192 tokens, "
                               "or what the context has room for.")
                       ->needs(every)
                       ->check(CLI::IsMember(list_words(eval::reasoning_task_words)));
    auto* data = group.option("--eval-data", options.evaluated_data, "The problems of that task.");
    data->needs(reason);
    reason->needs(data);
    group.flag(
        "--tensorboard", options.job.writes_tensorboard, "Write the metrics for TensorBoard too.");
}

void declare_run(CLI::App& app, TrainOptions& options) {
    OptionGroup group(app, "Running the model");
    group
        .option("--dtype", options.dtype, "The type of weights: f32, or bf16 with float32 masters.")
        ->check(CLI::IsMember({"f32", "bf16"}));
    group.option(
        "--device",
        options.job.device,
        "Where the model runs: cpu, cuda or cuda:N. Of several processes on a machine each "
        "takes the next one.");
    group.flag("--checkpoint-activations",
               options.job.recomputes_layers,
               "Compute layers again in the backward pass: less memory, a third more work.");
    group.option(
        "--save-every", options.job.save_every, "Steps between states to resume from; 0 is none.");
}

}  // namespace

void declare_train(CLI::App& app, TrainOptions& options) {
    declare_start(app, options);
    declare_data(app, options);
    declare_optimiser(app, options);
    declare_groups(app, options);
    declare_evaluation(app, options);
    declare_run(app, options);
    declare_reading(app, options.reading);
}

}  // namespace anamnesis::app
