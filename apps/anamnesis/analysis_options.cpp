// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {

CLI::App* declare_verb(CLI::App& app, GradientsOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "gradients", "Gradients of the attention logits by distance: how far a loss reaches");
    verb->add_option("--model", options.checkpoint, "Checkpoint folder")->required();
    declare(*verb, options.model);
    auto* source = verb->add_option_group("source", "What the loss is on");
    source->add_option(
        "--data", options.data, "JSON lines with messages, prompt and response, or text");
    source->add_option("--rows",
                       options.rows,
                       ".safetensors file with input_ids and labels [B, T]; -100 is unsupervised; "
                       "the loss is the mean over all rows");
    source->require_option(1);
    verb->add_option("--compare", options.compare, "With --data: a second data set beside it");
    verb->add_option("--out", options.out, "Folder of the results; an unfinished run goes on there")
        ->required();
    verb->add_option("--max-tokens", options.max_tokens, "Cut longer examples (default 8192)")
        ->check(CLI::Range(2U, 1U << 24U));
    verb->add_option("--samples", options.samples, "The first examples alone (default: all)");
    verb->add_flag("--all-text",
                   options.all_text,
                   "The loss is on every token; without it, on responses alone");
    verb->add_flag("--no-bands",
                   options.no_bands,
                   "Leave out the gradients of W_Q, W_K, W_V, W_O by distance band");
    verb->add_option("--resamples", options.resamples, "Of the bootstrap (default 1000)")
        ->check(CLI::Range(100U, 1'000'000U));
    verb->add_option("--seed", options.seed, "Of the bootstrap (default 0)");
    declare(*verb, options.reading);
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, AttentionOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "attention", "Distance, entropy, needle mass and retrieval score of every attention head");
    verb->add_option("--model",
                     options.models,
                     "Checkpoint folder, or NAME=FOLDER; again for each checkpoint: pre, post, "
                     "repaired")
        ->required();
    declare(*verb, options.model);
    auto* source = verb->add_option_group("source", "What is read");
    source->add_option("--prompts",
                       options.prompts,
                       "JSON lines: input and outputs as RULER writes them, or text alone");
    source->add_flag("--niah", options.niah, "Needle prompts made here (--tasks, --lengths)");
    source->require_option(1);
    verb->add_option("--tasks,--task", options.haystack.tasks, "With --niah (default s2)")
        ->delimiter(',');
    verb->add_option("--lengths,--length",
                     options.haystack.lengths,
                     "With --niah: context in tokens, 4k,8k or 4k..32k (default 4k)")
        ->delimiter(',');
    options.haystack.samples = 10;
    declare(*verb, options.haystack);
    verb->get_option("--samples")->description("Samples of each task and length (default 10)");
    verb->add_flag("--own-answers",
                   options.own_answers,
                   "Retrieval over what the model itself writes (Wu et al.); without it, over the "
                   "true answer, which is the same text for every checkpoint");
    verb->add_option(
            "--beyond", options.beyond, "Distances whose share is told (default 1024,4096,16384)")
        ->delimiter(',')
        ->check(CLI::PositiveNumber);
    verb->add_option("--out", options.out, "Folder of the results; an unfinished run goes on there")
        ->required();
    verb->add_option("--select-layers",
                     options.select_layers,
                     "retrieval: write OUT/layers.txt, the layers of the first checkpoint with the "
                     "highest retrieval score, for 'restore --layers'")
        ->check(CLI::IsMember({"retrieval"}));
    verb->add_option(
            "--select-count", options.select_count, "How many (default: a quarter of the layers)")
        ->check(CLI::PositiveNumber);
    declare(*verb, options.reading);
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
