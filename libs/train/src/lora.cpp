// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/lora.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"

#include "name_stream.hpp"
#include "tensor_file.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view weight_suffix = ".weight";
constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";

double parse_number(std::string_view text, std::string_view word, double most) {
    double number = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || !(number > 0.0) ||
        number > most) {
        throw Error(
            ErrorKind::usage,
            format(
                "--lora has {}, expected a number above 0 and at most {}", in_quotes(word), most));
    }
    return number;
}

bool parse_flag(std::string_view text, std::string_view word) {
    if (text != "true" && text != "false") {
        throw Error(ErrorKind::usage,
                    format("--lora has {}, expected true or false", in_quotes(word)));
    }
    return text == "true";
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('.') + 1);
}

at::Tensor read_values(const checkpoint::TensorEntry& entry, const at::TensorOptions& options) {
    const std::vector<std::int64_t> sizes(entry.shape.begin(), entry.shape.end());
    at::Tensor stored = at::empty(sizes, runtime::to_scalar_type(entry.dtype));
    entry.read_at(0, {static_cast<std::byte*>(stored.mutable_data_ptr()), entry.bytes});
    return stored.to(options.device(), options.dtype().toScalarType(), false, /*copy=*/true);
}

/// Uniform in +-1/sqrt(inputs): what PEFT's kaiming_uniform with a = sqrt(5) gives.
at::Tensor make_down(std::int64_t rank, std::int64_t inputs, Random random) {
    at::Tensor down = at::empty({rank, inputs}, at::kDouble);
    const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
    auto* values = down.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < down.numel(); ++i) {
        values[i] = bound * (2.0 * random.uniform() - 1.0);
    }
    return down;
}

std::string factor_name(const std::string& name, const char* factor) {
    return name.substr(0, name.size() - weight_suffix.size()) + factor;
}

}  // namespace

LoraSettings parse_lora(const std::string& words) {
    LoraSettings settings;
    if (words.find('=') == std::string::npos) {
        settings.start = words;
        return settings;
    }
    bool has_alpha = false;
    bool is_in_targets = false;
    for (const std::string& word : split(words, ',')) {
        const std::size_t equals = word.find('=');
        const std::string_view key = std::string_view(word).substr(0, equals);
        const std::string_view value =
            equals == std::string::npos ? key : std::string_view(word).substr(equals + 1);
        const bool is_more = equals == std::string::npos && is_in_targets && !word.empty();
        is_in_targets = is_more || key == "targets";
        if (is_in_targets && !value.empty()) {
            settings.targets.emplace_back(value);
        } else if (key == "r") {
            const double rank = parse_number(value, word, 65'536.0);
            if (rank != std::floor(rank)) {
                throw Error(ErrorKind::usage,
                            format("--lora has {}, expected a whole number", in_quotes(word)));
            }
            settings.rank = static_cast<std::uint32_t>(rank);
        } else if (key == "alpha") {
            settings.alpha = parse_number(value, word, 1e9);
            has_alpha = true;
        } else if (key == "rslora") {
            settings.has_root_scale = parse_flag(value, word);
        } else {
            throw Error(ErrorKind::usage,
                        format("--lora has {}; it knows r, alpha, rslora and targets, as in "
                               "r=16,alpha=32,targets=q_proj,v_proj, or the folder of an adapter",
                               in_quotes(word)));
        }
    }
    if (!has_alpha) {
        settings.alpha = 2.0 * settings.rank;
    }
    std::erase(settings.targets, "all-linear");
    return settings;
}

Json describe(const LoraSettings& settings) {
    if (!settings.start.empty()) {
        return Json::Object{{"start", settings.start}};
    }
    Json targets = Json::array();
    for (const std::string& target : settings.targets) {
        targets.push_back(target);
    }
    return Json::Object{{"r", settings.rank},
                        {"alpha", settings.alpha},
                        {"rslora", settings.has_root_scale},
                        {"targets", std::move(targets)}};
}

/// The adapter that a run goes on from.
struct LoraAdapters::Start {
    Start(const std::string& path, const checkpoint::RecognisedCheckpoint& base)
        : adapter(checkpoint::open_adapter(path)),
          match(checkpoint::match_adapter(adapter, base)),
          config(io::read_text(adapter.folder() / config_name)) {
        checkpoint::refuse_unfit(match, checkpoint::AdapterUse::merge, false);
        const auto is_more = [](const checkpoint::AdapterModule& module) {
            return module.bias != nullptr || module.magnitude != nullptr || module.is_embedding;
        };
        const auto other = std::ranges::find_if(adapter.modules, is_more);
        if (other != adapter.modules.end() || !adapter.saved.empty()) {
            throw Error(
                ErrorKind::unsupported,
                format("the adapter {} has more than pairs of factors ({}); training goes "
                       "on from plain LoRA alone",
                       in_quotes(path, 1000),
                       other != adapter.modules.end() ? other->path : adapter.saved.front().name));
        }
    }

    checkpoint::Adapter adapter;
    checkpoint::AdapterMatch match;
    std::string config;  ///< the text of its file
};

LoraAdapters::LoraAdapters(LoraSettings settings,
                           const checkpoint::RecognisedCheckpoint& base,
                           RowRules rules,
                           std::uint64_t seed,
                           at::ScalarType type,
                           at::Device device)
    : settings_(std::move(settings)),
      base_(base.checkpoint.path().string()),
      rules_(std::move(rules)),
      seed_(seed),
      options_(at::TensorOptions().dtype(type).device(device)) {
    for (const auto& [name, of_tensor] : rules_) {
        if (std::ranges::any_of(of_tensor, [](const RowRule& rule) {
                return rule.rate != 0.0 || rule.anchor != 0.0;
            })) {
            throw Error(ErrorKind::usage,
                        "--lr-scale and --anchor act on weights, which --lora leaves as they are; "
                        "leave them out (--freeze says which matrices get no adapter)");
        }
    }
    if (!settings_.start.empty()) {
        start_ = std::make_shared<const Start>(settings_.start, base);
    }
}

runtime::AdapterChoice LoraAdapters::choice() & {
    return [this](const std::string& name, const Shape& shape) { return choose(name, shape); };
}

std::optional<runtime::AdapterFactors> LoraAdapters::choose(const std::string& name,
                                                            const Shape& shape) {
    std::optional<runtime::AdapterFactors> factors;
    if (start_) {
        factors = take_from_start(name);
    } else {
        const std::string path = name.substr(0, name.size() - weight_suffix.size());
        if (!is_target(path) || is_frozen_whole(name, shape[0])) {
            passed_.insert(path);
            return std::nullopt;
        }
        const double rank = settings_.rank;
        const auto inputs = static_cast<std::int64_t>(shape[1]);
        factors = {
            .down = make_down(settings_.rank, inputs, make_name_stream(seed_, name)).to(options_),
            .up = at::zeros({static_cast<std::int64_t>(shape[0]), settings_.rank}, options_),
            .scale = settings_.alpha / (settings_.has_root_scale ? std::sqrt(rank) : rank)};
        paths_.emplace(name, path);
    }
    if (factors) {
        factors->down.requires_grad_(true);
        factors->up.requires_grad_(true);
        add_rules(name, factors->down.size(0), shape[0]);
    }
    return factors;
}

std::optional<runtime::AdapterFactors> LoraAdapters::take_from_start(const std::string& name) {
    for (const checkpoint::MatchedModule& matched : start_->match.modules) {
        if (matched.weight->name == name) {
            paths_.emplace(name, matched.module->path);
            return runtime::AdapterFactors{.down = read_values(*matched.module->a, options_),
                                           .up = read_values(*matched.module->b, options_),
                                           .scale = matched.scale};
        }
    }
    return std::nullopt;
}

bool LoraAdapters::is_target(const std::string& path) {
    bool is_meant = settings_.targets.empty();
    for (const std::string& target : settings_.targets) {
        if (checkpoint::is_meant(path, target)) {
            used_targets_.insert(target);
            is_meant = true;
        }
    }
    return is_meant;
}

bool LoraAdapters::is_frozen_whole(const std::string& name, std::uint64_t rows) const {
    std::uint64_t frozen = 0;
    if (const auto found = rules_.find(name); found != rules_.end()) {
        for (const RowRule& rule : found->second) {
            frozen += rule.rows.size();
        }
    }
    return frozen == rows;
}

/// Rows of a matrix are rows of its second factor: where that one's do not move, the product's do
/// not.
void LoraAdapters::add_rules(const std::string& name, std::int64_t rank, std::uint64_t rows) {
    const auto found = rules_.find(name);
    if (found == rules_.end()) {
        return;
    }
    factor_rules_.emplace(factor_name(name, ".lora_B.weight"), found->second);
    if (is_frozen_whole(name, rows)) {
        const checkpoint::RowRange all{.begin = 0, .end = static_cast<std::uint64_t>(rank)};
        factor_rules_.emplace(factor_name(name, ".lora_A.weight"),
                              std::vector{RowRule{.rows = all, .rate = 0.0}});
    }
}

void LoraAdapters::check() const {
    for (const std::string& target : settings_.targets) {
        if (!used_targets_.contains(target)) {
            throw Error(ErrorKind::usage,
                        format("--lora has the target {}, which no matrix of the layers is called "
                               "(experts, routers and kv_b_proj of latent attention take no "
                               "adapter); 'anamnesis inspect' lists the tensors",
                               in_quotes(target)));
        }
    }
    if (start_) {
        for (const checkpoint::MatchedModule& matched : start_->match.modules) {
            if (!paths_.contains(matched.weight->name)) {
                throw Error(ErrorKind::unsupported,
                            format("the adapter {} changes {}, which takes no adapter here",
                                   in_quotes(settings_.start, 1000),
                                   in_quotes(matched.module->path)));
            }
        }
    }
    if (paths_.empty()) {
        throw Error(ErrorKind::usage,
                    "--lora and --freeze together leave no matrix with an adapter; there is "
                    "nothing to learn");
    }
}

/// Names alone where every matrix of the name has an adapter, whole paths elsewhere: PEFT then
/// makes the same modules.
Json LoraAdapters::make_config() const {
    std::set<std::string> left_out;
    for (const std::string& path : passed_) {
        left_out.insert(last_part(path));
    }
    std::set<std::string> targets;
    for (const auto& [name, path] : paths_) {
        const std::string part = last_part(path);
        targets.insert(left_out.contains(part) ? path : part);
    }
    Json list = Json::array();
    for (const std::string& target : targets) {
        list.push_back(target);
    }
    return Json::Object{{"peft_type", "LORA"},
                        {"task_type", "CAUSAL_LM"},
                        {"base_model_name_or_path", base_},
                        {"r", settings_.rank},
                        {"lora_alpha", settings_.alpha},
                        {"use_rslora", settings_.has_root_scale},
                        {"use_dora", false},
                        {"lora_dropout", 0.0},
                        {"bias", "none"},
                        {"fan_in_fan_out", false},
                        {"init_lora_weights", true},
                        {"inference_mode", true},
                        {"modules_to_save", Json()},
                        {"rank_pattern", Json::Object{}},
                        {"alpha_pattern", Json::Object{}},
                        {"target_modules", std::move(list)}};
}

void LoraAdapters::write(const NamedTensors& factors, const fs::path& folder) const {
    NamedTensors named;
    for (const auto& [name, path] : paths_) {
        for (const char* factor : {".lora_A.weight", ".lora_B.weight"}) {
            named.emplace("base_model.model." + path + factor,
                          factors.at(factor_name(name, factor)).detach());
        }
    }
    write_tensors(folder / weights_name, named, {{"format", "pt"}});
    io::write_text_atomically(folder / config_name,
                              start_ ? start_->config : make_config().dump(2) + "\n");
}

}  // namespace anamnesis::train
