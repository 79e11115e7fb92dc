// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {

void declare(CLI::App& app, ModelOptions& options) {
    app.add_option("--tokenizer", options.tokenizer, "Folder of the tokenizer, if another");
    app.add_option(
           "--dtype",
           options.dtype,
           "Type of weight matrices (default: as stored); f64 computes everything in float64")
        ->check(CLI::IsMember({"f64", "f32", "bf16", "f16"}));
    app.add_option("--cache-dtype", options.cache_dtype, "Type of keys and values in the cache")
        ->check(CLI::IsMember({"f32", "bf16", "f16"}));
    app.add_option("--device", options.device, "cpu (default), cuda or cuda:N");
    app.add_option("--attn-logits-scaling",
                   options.attn_logits_scaling,
                   "HypeNet: none, a number, or 'hype A' in place of the config's");
    app.add_option("--context-length",
                   options.context_length,
                   "Longest text, in place of max_position_embeddings")
        ->check(CLI::PositiveNumber);
}

CLI::App* declare_verb(CLI::App& app, GenerateOptions& options) {
    CLI::App* verb = app.add_subcommand("generate", "Let a checkpoint write");
    verb->add_option("--model", options.checkpoint, "Checkpoint folder")->required();
    declare(*verb, options.model);
    verb->add_option("--chunk", options.model.chunk, "Tokens of a prompt read at once (1024)")
        ->check(CLI::Range(1U, 1U << 20U));
    verb->add_option("--prompt", options.prompts, "Text to go on from; several run together");
    verb->add_option("--prompt-file", options.prompt_files, "The same from a file; - is stdin");
    verb->add_flag("--chat",
                   options.chat,
                   "Prompts are turns of a user, in the model's chat template; without a prompt, "
                   "a conversation line by line");
    verb->add_option("--system", options.system, "With --chat: the system text");
    verb->add_option("--thinking", options.thinking, "With --chat: the template's switch, 0 or 1");
    verb->add_option("--max-tokens", options.max_tokens, "Longest answer (256)");
    verb->add_option("--temperature", options.temperature, "0 (default): greedy")
        ->check(CLI::Range(0.0, 100.0));
    verb->add_option("--top-p", options.top_p, "Sample from the likeliest that reach this mass")
        ->check(CLI::Range(0.0, 1.0));
    verb->add_option("--top-k", options.top_k, "Sample from the likeliest k; 0 (default): all");
    verb->add_option("--seed", options.seed, "Of the sampling (0)");
    verb->add_option("--stop", options.stop, "Text that ends the answer; may be given again");
    verb->add_flag("--ignore-eos", options.ignore_eos, "Go on past the end-of-text token");
    verb->add_flag("--logprobs", options.logprobs, "Log-probability of every token");
    declare(*verb, options.reading);
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, LogitsOptions& options) {
    CLI::App* verb =
        app.add_subcommand("logits", "Logits of given tokens, to compare engines with");
    verb->add_option("--model", options.checkpoint, "Checkpoint folder")->required();
    declare(*verb, options.model);
    verb->add_option("--ids", options.ids, ".safetensors file with input_ids [B, T]")->required();
    verb->add_option("--out", options.out, "File to write: logits [B, T, V]")->required();
    verb->add_flag("--hidden-states",
                   options.hidden_states,
                   "hidden_states.i too: the residual stream before layer 0 and behind each layer");
    auto* chunk = verb->add_option("--chunk",
                                   options.model.chunk,
                                   "Read this many tokens at a time (default: the text at once)");
    chunk->check(CLI::Range(1U, 1U << 20U));
    verb->add_flag("--step", options.step, "Token by token")->excludes(chunk);
    declare(*verb, options.reading);
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
