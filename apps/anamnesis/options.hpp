// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace anamnesis::app {

/// How checkpoints are read, where their config.json does not say enough.
struct ReadingOptions {
    std::string family{};   ///< overrides config.json
    std::string routing{};  ///< a routing map for a family of one's own
    std::string config{};   ///< a config.json for checkpoints that have none
};

struct CommonOptions {
    bool json = false;
    bool quiet = false;
    unsigned threads = 0;  ///< 0: every core this process may use
};

struct InspectOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    bool all_tensors = false;
};

/// Which rows a repair takes; the words of the command line, checked by the verb.
struct SelectionOptions {
    std::string method = "qk";
    std::string groups{};
    std::string layers{};
    std::string heads{};
    bool no_bias = false;
    bool include_sliding = false;
    bool include_mtp = false;
    bool include_norms = false;
    bool include_adapters = false;
    std::vector<std::string> allow{};
    std::vector<double> lambda_relative{};
    std::vector<double> lambda_absolute{};
    std::string metric = "gram";
    double alpha = 0.5;
    bool has_selection = false;  ///< some selection option was given
};

struct DriftOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string pre{};
    std::string post{};
    std::string html{};
    bool include_sliding = false;
    bool include_mtp = false;
    std::optional<double> limit{};
};

struct RestoreOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    SelectionOptions selection{};
    std::string pre{};
    std::string post{};
    std::string out{};
    std::string patch{};
    bool in_place = false;
    bool link = false;
    bool model_card = false;
    bool no_sync = false;
    bool dry_run = false;
};

struct VerifyOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    SelectionOptions selection{};
    std::string pre{};
    std::string post{};
    std::string repaired{};
};

struct UndoOptions {
    CommonOptions common{};
    std::string checkpoint{};
};

struct ApplyOptions {
    CommonOptions common{};
    std::string patch{};
    std::string to{};
    std::string out{};
    bool link = false;
    bool no_sync = false;
    bool allow_links = false;
};

/// How a model is made to run.
struct ModelOptions {
    std::string tokenizer{};
    std::string dtype{};
    std::string cache_dtype{};
    std::string device = "cpu";
    std::uint32_t chunk = 0;  ///< 0: the library's default
    std::string attn_logits_scaling{};
    std::uint64_t context_length = 0;  ///< 0: the config's
};

struct GenerateOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::vector<std::string> prompts{};
    std::vector<std::string> prompt_files{};
    bool chat = false;
    std::string system{};
    std::optional<bool> thinking{};
    std::uint32_t max_tokens = 256;
    double temperature = 0.0;
    double top_p = 1.0;
    std::uint32_t top_k = 0;
    std::uint64_t seed = 0;
    std::vector<std::string> stop{};
    bool ignore_eos = false;
    bool logprobs = false;
};

struct LogitsOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::string ids{};
    std::string out{};
    bool hidden_states = false;
    bool step = false;
};

/// A training run.
struct TrainOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    std::string init{};  ///< a config.json, instead of a checkpoint
    std::string initializer = "range";
    std::string batches{};
    std::vector<std::string> data{};
    std::vector<std::string> stages{};  ///< of synthetic data: STEPSxROWSxLENGTH
    std::string out{};
    bool chat = false;
    bool learns_prompts = false;
    std::uint64_t batch_size = 8;
    std::uint64_t length = 0;  ///< 0: no limit
    bool is_packed = false;
    std::uint64_t accumulated = 1;
    bool recomputes_layers = false;
    std::uint64_t seed = 0;
    std::optional<std::uint64_t> steps{};
    double learning_rate = 1e-4;
    std::string schedule = "cosine";
    std::uint64_t warmup = 0;
    double min_lr_ratio = 0.0;
    std::vector<double> betas = {0.9, 0.95};
    double eps = 1e-8;
    double weight_decay = 0.0;
    double clip = 1.0;  ///< 0: no clipping
    std::string dtype = "f32";
    std::string device = "cpu";
    std::uint64_t save_every = 0;
    std::string replay{};           ///< a file, or synthetic:TASK
    std::uint64_t replay_rows = 2;  ///< of each step
    std::uint64_t evaluate_every = 0;
    std::vector<std::uint64_t> evaluated_lengths = {128, 256, 512};
    std::uint64_t evaluated_samples = 50;
    std::string evaluated_task{};  ///< of `reason`; empty: none
    std::string evaluated_data{};
    bool tensorboard = false;
    std::vector<std::string> frozen{};
    std::vector<std::string> rates{};
    std::vector<std::string> anchors{};
};

/// Recall and reasoning on the synthetic tasks.
struct ProbeOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::vector<std::string> checkpoints{};
    std::vector<std::uint64_t> lengths = {128, 256, 512, 1024, 2048};
    std::uint64_t samples = 100;
    std::uint64_t seed = 999;
};

/// The finding from end to end.
struct ReproduceOptions {
    CommonOptions common{};
    std::vector<std::uint64_t> seeds = {0, 1, 2};
    std::string out{};
    bool is_quick = false;
};

/// The story on the pair that ships with the project.
struct DemoOptions {
    CommonOptions common{};
    std::string out = "anamnesis-demo";
    std::uint64_t samples = 50;
};

/// Which needle-in-a-haystack prompts are made.
struct HaystackOptions {
    std::vector<std::string> tasks{};
    std::vector<std::string> lengths{};
    std::uint64_t samples = 500;
    std::uint64_t seed = 42;
    std::string essays{};
    std::string wrapper = "base";
    bool sane_wording = false;
    bool remove_newline_tab = false;
    std::uint64_t tokens_to_generate = 128;
    std::uint32_t depths = 0;  ///< 0: RULER's random ones
};

struct PromptsOptions {
    CommonOptions common{};
    HaystackOptions haystack{};
    std::string tokenizer{};
    std::string out{};
    bool prepare_for_ns = false;
};

/// Who answers the questions of an evaluation, and how.
struct AskingOptions {
    std::vector<std::string> models{};  ///< PATH, NAME=PATH, or names that a server knows
    ModelOptions how{};
    ReadingOptions reading{};
    std::string endpoint{};
    std::string api_key_variable = "OPENAI_API_KEY";
    std::string transport = "tokens";
    std::uint32_t concurrency = 4;
    std::uint32_t timeout = 1800;
    std::uint32_t retries = 5;
    bool plain_openai = false;
    bool chat = false;
    std::optional<bool> thinking{};
    std::uint32_t max_tokens = 0;  ///< 0: the task's own
    bool no_sharing = false;
    bool check_engine = false;
    std::string out{};
    std::string shard{};
};

struct NiahOptions {
    CommonOptions common{};
    AskingOptions asking{};
    HaystackOptions haystack{};
    std::string prompts{};
    bool no_prefix = false;
    bool no_logprobs = false;
};

struct ReasonOptions {
    CommonOptions common{};
    AskingOptions asking{};
    std::string task{};
    std::string data{};
    std::uint64_t limit = 0;  ///< 0: all problems
    std::uint32_t k = 1;
    std::optional<double> temperature{};
    std::optional<double> top_p{};
    std::uint32_t top_k = 0;
    std::uint64_t seed = 0;
    std::uint32_t shots = 0;
    std::string train{};
    std::string prompt_template{};
    bool plain = false;
};

struct ReportOptions {
    CommonOptions common{};
    std::vector<std::string> folders{};
    std::string pre{};
    std::string post{};
};

struct GradeOptions {
    CommonOptions common{};
    std::string in{};
    std::string out{};
    std::string data{};
    std::string task{};
};

/// Where a loss reaches: gradients of attention logits by distance.
struct GradientsOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    std::string rows{};
    std::string data{};
    std::string compare{};
    std::string out{};
    std::uint32_t max_tokens = 8192;
    std::uint32_t samples = 0;  ///< 0: all
    bool all_text = false;
    bool no_bands = false;
    std::uint32_t resamples = 1000;
    std::uint64_t seed = 0;
};

/// Where attention looks.
struct AttentionOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::vector<std::string> models{};  ///< PATH or NAME=PATH
    ModelOptions model{};
    HaystackOptions haystack{};
    std::string prompts{};
    bool niah = false;
    bool own_answers = false;
    std::string out{};
    std::vector<std::uint32_t> beyond{};
    std::string select_layers{};
    std::uint32_t select_count = 0;  ///< 0: a quarter of the layers
};

struct ExampleOptions {
    CommonOptions common{};
    std::string folder{};
};

/// A demand for text: --help or --version.
struct PrintText {
    std::string text{};
};

using Invocation = std::variant<PrintText,
                                InspectOptions,
                                DriftOptions,
                                RestoreOptions,
                                VerifyOptions,
                                UndoOptions,
                                ApplyOptions,
                                ExampleOptions,
                                PromptsOptions,
                                NiahOptions,
                                ReasonOptions,
                                ReportOptions,
                                GradeOptions,
                                GenerateOptions,
                                LogitsOptions,
                                TrainOptions,
                                GradientsOptions,
                                AttentionOptions,
                                ProbeOptions,
                                ReproduceOptions,
                                DemoOptions>;

/// Verbs that always run a model in this process and so need LibTorch.
template <class Options>
inline constexpr bool runs_model =
    std::is_same_v<Options, GenerateOptions> || std::is_same_v<Options, LogitsOptions> ||
    std::is_same_v<Options, TrainOptions> || std::is_same_v<Options, GradientsOptions> ||
    std::is_same_v<Options, AttentionOptions> || std::is_same_v<Options, ProbeOptions> ||
    std::is_same_v<Options, ReproduceOptions> || std::is_same_v<Options, DemoOptions>;

/// Verbs that ask models questions: in this process, or behind an endpoint.
template <class Options>
inline constexpr bool asks_models = requires(const Options& options) { options.asking; };

/// Reads the command line. Errors: `usage`.
Invocation parse_command_line(int argc, char** argv);

}  // namespace anamnesis::app
