// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/doctor.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/shell.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/equal_weights.hpp"
#include "anamnesis/restore/pair_findings.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "container_view.hpp"
#include "scale_values.hpp"
#include "tensor_scan.hpp"
#include "tokenizer_check.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Finding;
using checkpoint::list_examples;
using checkpoint::make_finding;
using checkpoint::Severity;
using checkpoint::TensorEntry;

/// Names with the numbers of layers and experts left out.
std::string find_kind(const std::string& name) {
    std::string kind;
    for (const std::string& part : split(name, '.')) {
        const bool is_number = !part.empty() && std::ranges::all_of(part, [](char c) {
            return std::isdigit(static_cast<unsigned char>(c)) != 0;
        });
        kind += (kind.empty() ? "" : ".") + (is_number ? std::string("#") : part);
    }
    return kind;
}

void find_non_finite(const std::vector<TensorHealth>& tensors, std::vector<Finding>& findings) {
    std::vector<std::string> names;
    const TensorHealth* first = nullptr;
    std::uint64_t nans = 0;
    std::uint64_t infinities = 0;
    for (const TensorHealth& health : tensors) {
        if (health.nans + health.infinities > 0) {
            first = first == nullptr ? &health : first;
            names.push_back(health.tensor->name);
            nans += health.nans;
            infinities += health.infinities;
        }
    }
    if (first != nullptr) {
        const std::uint64_t columns = std::max<std::uint64_t>(first->tensor->columns(), 1);
        findings.push_back(make_finding(
            "non_finite",
            Severity::error,
            names,
            format("{} NaN and {} infinite values in {} tensor{}: {}; the first is in row {}, "
                   "column {} of {}",
                   nans,
                   infinities,
                   names.size(),
                   names.size() == 1 ? "" : "s",
                   list_examples(names),
                   first->first_non_finite / columns,
                   first->first_non_finite % columns,
                   in_quotes(first->tensor->name)),
            "take a checkpoint from before the run diverged"));
    }
}

bool is_matrix(const TensorEntry& tensor) {
    return tensor.shape.size() >= 2 && find_element_count(tensor.shape).value_or(0) >= 16;
}

void find_constant(const std::vector<TensorHealth>& tensors, std::vector<Finding>& findings) {
    std::vector<std::string> names;
    for (const TensorHealth& health : tensors) {
        if (health.is_constant && is_matrix(*health.tensor) &&
            !checkpoint::find_scaled_weight(health.tensor->name)) {
            names.push_back(health.tensor->name);
        }
    }
    if (!names.empty()) {
        findings.push_back(
            make_finding("constant",
                         Severity::warning,
                         names,
                         format("{} of one value throughout: {}",
                                names.size() == 1 ? std::string("a matrix is")
                                                  : format("{} matrices are", names.size()),
                                list_examples(names)),
                         "these were never loaded or never trained"));
    }
}

/// `is_tied`: the head is the embedding, and may be stored as well.
void find_duplicates(const checkpoint::RecognisedCheckpoint& source,
                     const std::vector<TensorHealth>& tensors,
                     std::vector<Finding>& findings) {
    std::map<std::tuple<std::uint64_t, Shape, std::uint64_t>, std::vector<const TensorEntry*>>
        equal;
    for (const TensorHealth& health : tensors) {
        if (!health.is_constant && is_matrix(*health.tensor)) {
            equal[{health.digest, health.tensor->shape, health.tensor->bytes}].push_back(
                health.tensor);
        }
    }
    std::vector<std::string> names;
    std::string first;
    for (const auto& [key, group] : equal) {
        for (std::size_t i = 1; i < group.size(); ++i) {
            const auto tensor_group = checkpoint::classify_tensor(source.model, group[i]->name);
            const bool is_of_vocabulary = tensor_group == checkpoint::TensorGroup::head ||
                                          tensor_group == checkpoint::TensorGroup::embedding;
            const bool is_shared = group[i]->name.find("shared_transformer") != std::string::npos;
            if (is_of_vocabulary || is_shared) {
                continue;
            }
            if (names.empty()) {
                first = format("{} and {}", in_quotes(group[0]->name), in_quotes(group[i]->name));
            }
            names.push_back(group[i]->name);
        }
    }
    if (!names.empty()) {
        findings.push_back(make_finding("duplicated",
                                        Severity::warning,
                                        names,
                                        format("{} matri{} the bytes of another, such as {}",
                                               names.size(),
                                               names.size() == 1 ? "x has" : "ces have",
                                               first),
                                        "layers that were copied, or one weight under two names"));
    }
}

/// Tensors whose size differs by a factor of thirty from the median of the same tensor of other
/// layers: scales that were lost, layers that were never loaded.
void find_out_of_range(const std::vector<TensorHealth>& tensors, std::vector<Finding>& findings) {
    constexpr double factor = 30.0;
    constexpr std::size_t fewest = 4;
    std::map<std::string, std::vector<const TensorHealth*>> kinds;
    for (const TensorHealth& health : tensors) {
        if (is_matrix(*health.tensor) && health.rms > 0.0) {
            kinds[find_kind(checkpoint::canonical_name(health.tensor->name))].push_back(&health);
        }
    }
    std::vector<std::string> names;
    std::string first;
    for (auto& [kind, members] : kinds) {
        if (members.size() < fewest) {
            continue;
        }
        std::vector<double> sizes;
        for (const TensorHealth* member : members) {
            sizes.push_back(member->rms);
        }
        std::ranges::nth_element(sizes,
                                 sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2));
        const double median = sizes[sizes.size() / 2];
        for (const TensorHealth* member : members) {
            if (member->rms > factor * median || member->rms < median / factor) {
                if (names.empty()) {
                    first = format("{} has a root mean square of {:.3g}, its sisters {:.3g}",
                                   in_quotes(member->tensor->name),
                                   member->rms,
                                   median);
                }
                names.push_back(member->tensor->name);
            }
        }
    }
    if (!names.empty()) {
        findings.push_back(make_finding(
            "out_of_range",
            Severity::warning,
            names,
            format("{} tensor{} out of the range of the same tensor of other layers: {}",
                   names.size(),
                   names.size() == 1 ? " is" : "s are",
                   first),
            "a scale was lost, or the layer was never loaded"));
    }
}

CheckpointHealth look_at(const checkpoint::RecognisedCheckpoint& source,
                         const Execution& execution,
                         std::string_view where,
                         std::vector<Finding>& findings) {
    CheckpointHealth health{.source = &source,
                            .tensors = scan_tensors(source.checkpoint, execution)};
    std::vector<Finding> found = source.findings();
    find_non_finite(health.tensors, found);
    find_scale_values(source, ScaledTensors::all, found);
    find_constant(health.tensors, found);
    find_duplicates(source, health.tensors, found);
    find_out_of_range(health.tensors, found);
    check_side_files(source, found);
    append_findings(findings, found, where);
    return health;
}

/// The methods that take no more than a pair.
constexpr std::array tried_methods{Method::qk, Method::pro, Method::lerp, Method::align};

/// A repair opens its checkpoints more strictly than an examination does, which tells of tensors
/// that are not there and goes on.
void refuse_what_repair_refuses(const checkpoint::RecognisedCheckpoint& source,
                                std::string_view side) {
    for (const Finding& finding : source.model.findings) {
        if (finding.code == "missing_softmax_tensors") {
            throw Error(ErrorKind::mismatch,
                        format("names or shapes of {} contradict the family {}: {}",
                               side,
                               in_quotes(source.model.family),
                               finding.sentence));
        }
        if (finding.code == "not_recognised") {
            throw Error(ErrorKind::unsupported, format("{}: {}", side, finding.sentence));
        }
    }
}

/// What `restore` does before it writes.
MethodVerdict try_method(const checkpoint::RecognisedCheckpoint& pre,
                         const checkpoint::RecognisedCheckpoint& post,
                         Method method,
                         const Execution& execution) {
    Request request;
    request.selection.method = method;
    try {
        refuse_what_repair_refuses(pre, "pre");
        refuse_what_repair_refuses(post, "post");
        const Plan plan = make_plan(pre, post, request);
        if (!has_unequal_rows(plan, execution.watch)) {
            return {
                .method = method, .is_needless = true, .reason = describe_equal_rows(plan.request)};
        }
        return {.method = method, .is_possible = true};
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) {
            throw;
        }
        return {.method = method, .is_possible = false, .reason = error.message()};
    }
}

std::string make_command(const Diagnosis& diagnosis,
                         const checkpoint::RecognisedCheckpoint& pre,
                         const checkpoint::RecognisedCheckpoint& post) {
    const auto possible = std::ranges::find(diagnosis.methods, true, &MethodVerdict::is_possible);
    if (possible == diagnosis.methods.end()) {
        return {};
    }
    std::string out = post.checkpoint.path().string();
    while (out.size() > 1 && out.ends_with('/')) {
        out.pop_back();
    }
    if (post.checkpoint.is_single_file()) {
        const std::string ending = post.checkpoint.path().extension().string();
        out.resize(out.size() - ending.size());
        out += "-restored" + ending;
    } else if (const std::string ending = post.checkpoint.path().extension().string();
               ending == ".gguf") {
        out.resize(out.size() - ending.size());
        out += "-restored";
    } else {
        out += "-restored";
    }
    std::string command = format("anamnesis restore --pre {} --post {}",
                                 quote_for_shell(pre.checkpoint.path().string()),
                                 quote_for_shell(post.checkpoint.path().string()));
    if (possible->method != Method::qk) {
        command += format(" --method {}", to_string(possible->method));
    }
    const auto has = [&](std::string_view code) {
        return std::ranges::any_of(diagnosis.findings, [&](const Finding& finding) {
            return finding.code == code && finding.where != "pre";
        });
    };
    if (has("wrapped_names") || has("nested_prefix")) {
        command += " --clean-names";
    }
    if (has("quantization_leftover")) {
        command += " --fix-config";
    }
    return command + " --out " + quote_for_shell(out);
}

}  // namespace

bool Diagnosis::has_errors() const {
    return std::ranges::any_of(
        findings, [](const Finding& finding) { return finding.severity == Severity::error; });
}

Diagnosis examine(const checkpoint::RecognisedCheckpoint& source, const Execution& execution) {
    Diagnosis diagnosis;
    execution.watch.progress().begin(
        "reading", source.checkpoint.tensor_bytes(), ProgressUnit::bytes);
    diagnosis.checkpoints.push_back(look_at(source, execution, "", diagnosis.findings));
    execution.watch.progress().finish();
    return diagnosis;
}

Diagnosis examine(const checkpoint::RecognisedCheckpoint& pre,
                  const checkpoint::RecognisedCheckpoint& post,
                  const Execution& execution) {
    Diagnosis diagnosis;
    execution.watch.progress().begin("reading",
                                     pre.checkpoint.tensor_bytes() + post.checkpoint.tensor_bytes(),
                                     ProgressUnit::bytes);
    diagnosis.checkpoints.push_back(look_at(pre, execution, "pre", diagnosis.findings));
    diagnosis.checkpoints.push_back(look_at(post, execution, "post", diagnosis.findings));
    const auto view = match_container(pre, post);
    const std::vector<Finding> pair = find_pair_findings(view ? *view : pre, post);
    diagnosis.findings.insert(diagnosis.findings.end(), pair.begin(), pair.end());
    for (const Method method : tried_methods) {
        diagnosis.methods.push_back(try_method(pre, post, method, execution));
    }
    diagnosis.command = make_command(diagnosis, pre, post);
    if (diagnosis.command.empty()) {
        const MethodVerdict& first = diagnosis.methods.front();
        diagnosis.findings.push_back(
            {.code = first.is_needless ? "nothing_to_repair" : "not_repairable",
             .severity = first.is_needless ? Severity::warning : Severity::error,
             .sentence = first.is_needless
                             ? first.reason
                             : format("this pair cannot be repaired: {}", first.reason),
             .where = "pair"});
    }
    execution.watch.progress().finish();
    return diagnosis;
}

}  // namespace anamnesis::restore
