// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {
void declare(CLI::App& app, HaystackOptions& options) {
    app.add_option("--samples", options.samples, "Samples of each task and length (default 500)")
        ->check(CLI::PositiveNumber);
    app.add_option("--seed", options.seed, "Seed of the samples (default 42, RULER's)");
    app.add_option("--essays",
                   options.essays,
                   "Text of the essay haystacks: JSON {\"text\": …} as RULER's, or plain text "
                   "(default: the King James Version, which makes results RULER-style)");
    app.add_option("--template",
                   options.wrapper,
                   "Text around the prompt: a name of RULER's (base, lwm-chat, meta-llama3…) or "
                   "one with {task_template} in it");
    app.add_flag("--sane-wording",
                 options.sane_wording,
                 "Leave the template alone where RULER's singular wording would rewrite it too");
    app.add_flag("--remove-newline-tab",
                 options.remove_newline_tab,
                 "Collapse all white space of the prompt, as RULER's option does");
    app.add_option("--tokens-to-generate",
                   options.tokens_to_generate,
                   "Tokens of the length kept free for the answer (default 128)")
        ->check(CLI::PositiveNumber);
    app.add_option("--depths",
                   options.depths,
                   "Sweep N depths from 0 to 100 % evenly, --samples at each, instead of RULER's "
                   "random depths")
        ->check(CLI::Range(2U, 1001U));
}

namespace {

void declare(CLI::App& app, AskingOptions& options) {
    app.add_option("--model",
                   options.models,
                   "Checkpoint folder, or NAME=FOLDER; again for each checkpoint. With --endpoint: "
                   "the name it is served under, or NAME=SERVED");
    app.add_option("--endpoint",
                   options.endpoint,
                   "Ask an OpenAI-compatible server (vLLM, SGLang, llama-server) at this URL");
    app.add_option("--api-key-env",
                   options.api_key_variable,
                   "Environment variable that holds the server's key (default OPENAI_API_KEY)");
    app.add_option(
           "--transport",
           options.transport,
           "How prompts reach a server: tokens (default; ids of --tokenizer), text, or chat")
        ->check(CLI::IsMember({"tokens", "text", "chat"}));
    app.add_option("--concurrency", options.concurrency, "Requests under way at once (default 4)")
        ->check(CLI::Range(1U, 4096U));
    app.add_option("--timeout", options.timeout, "Seconds a server may be silent (default 1800)")
        ->check(CLI::PositiveNumber);
    app.add_option("--retries", options.retries, "Of a request that failed in passing (default 5)")
        ->check(CLI::Range(0U, 100U));
    app.add_flag("--plain-openai",
                 options.plain_openai,
                 "Send OpenAI's own fields only; without it, neutral values keep a server's "
                 "defaults out");
    app.add_flag("--chat", options.chat, "Put prompts into the model's own chat template");
    app.add_option("--thinking", options.thinking, "The template's thinking switch, 0 or 1");
    app.add_option("--max-tokens", options.max_tokens, "Longest answer");
    app.add_option("--chunk", options.how.chunk, "Tokens of a prompt read at once (default 512)")
        ->check(CLI::Range(1U, 1U << 20U));
    app.add_flag("--no-sharing",
                 options.no_sharing,
                 "Read every prompt alone, also what it has in common with others");
    app.add_flag("--check-engine",
                 options.check_engine,
                 "First see whether the engine can be trusted: the same prompts twice, alone and "
                 "together, short and long");
    app.add_option("--out", options.out, "Folder of the results; an unfinished run goes on there")
        ->required();
    app.add_option("--shard",
                   options.shard,
                   "i/n: this process takes every n-th sample (default: the rank under mpirun or "
                   "srun)");
    declare(app, options.how);
    declare(app, options.reading);
}

}  // namespace

CLI::App* declare_verb(CLI::App& app, NiahOptions& options) {
    CLI::App* verb =
        app.add_subcommand("niah", "Measure recall: needles in haystacks, RULER-compatible");
    declare(*verb, options.asking);
    verb->add_option("--tasks,--task",
                     options.haystack.tasks,
                     "s1, s2, s3 (default), multikey_1…3, multivalue, multiquery")
        ->delimiter(',');
    verb->add_option("--lengths,--length",
                     options.haystack.lengths,
                     "Context in tokens, answer included: 4k,8k or 4k..256k (every doubling)")
        ->delimiter(',');
    verb->add_option(
        "--prompts", options.prompts, "Prompts that RULER wrote (JSON lines), instead of own ones");
    declare(*verb, options.haystack);
    verb->add_flag("--no-prefix",
                   options.no_prefix,
                   "Do not begin the answer for the model (reasoning models)");
    verb->add_flag(
        "--no-logprobs", options.no_logprobs, "Leave out the log-probability of the true answer");
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, ReasonOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "reason", "Measure reasoning: GSM8K, MATH-500, AIME, AMC or problems of your own");
    declare(*verb, options.asking);
    verb->add_option("--task", options.task, "gsm8k, math500, aime24, amc23 or custom")->required();
    verb->add_option("--data", options.data, "The data set's JSON lines")->required();
    verb->add_option("--limit", options.limit, "Only the first N problems");
    verb->add_option("--k", options.k, "Samples of each problem (default 1)")
        ->check(CLI::Range(1U, 4096U));
    verb->add_option("--temperature",
                     options.temperature,
                     "0: greedy (default for --k 1); 0.6 by default for more samples")
        ->check(CLI::Range(0.0, 100.0));
    verb->add_option("--top-p", options.top_p, "Default 0.95 when sampling")
        ->check(CLI::Range(0.0, 1.0));
    verb->add_option("--top-k", options.top_k, "0 (default): all");
    verb->add_option("--seed", options.seed, "Of samples and examples (0)");
    verb->add_option("--shots",
                     options.shots,
                     "Worked examples before each question, as a completion: for base models")
        ->check(CLI::Range(1U, 64U));
    verb->add_option("--train", options.train, "JSON lines that the examples are drawn from");
    verb->add_option("--prompt-template",
                     options.prompt_template,
                     "File with a prompt of your own, {question} in it");
    verb->add_flag("--plain", options.plain, "Zero-shot without the model's chat template");
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, ReportOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "report", "Join the results in a folder to a page, Markdown, CSV and JSON");
    verb->add_option("folders",
                     options.folders,
                     "Folder of an evaluation; one of recall and one of reasoning make one page")
        ->required();
    verb->add_option("--pre", options.pre, "Name of the checkpoint before the fine-tune");
    verb->add_option("--post", options.post, "Name of the checkpoint after it");
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, PromptsOptions& options) {
    CLI::App* verb =
        app.add_subcommand("prompts", "Write RULER's needle-in-a-haystack prompts as JSON lines");
    verb->add_option(
            "--task,--tasks",
            options.haystack.tasks,
            "niah_single_1 (s1), niah_single_2 (s2), niah_single_3 (s3), niah_multikey_1…3, "
            "niah_multivalue, niah_multiquery")
        ->delimiter(',')
        ->required();
    verb->add_option("--length,--lengths",
                     options.haystack.lengths,
                     "Context in tokens, answer included: 4096, 4k, 4k..256k")
        ->delimiter(',')
        ->required();
    verb->add_option("--tokenizer", options.tokenizer, "Folder of the tokenizer")->required();
    verb->add_option("--out", options.out, "File to write")->required();
    declare(*verb, options.haystack);
    verb->add_flag("--prepare-for-ns",
                   options.prepare_for_ns,
                   "RULER's --prepare_for_ns: count the template, but leave it out");
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
