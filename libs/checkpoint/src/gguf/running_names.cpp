// SPDX-License-Identifier: Apache-2.0
#include "gguf/running_names.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/expert_roles.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::checkpoint {
namespace {

/// What tensors of a role may be called, the likeliest first.
struct RoleNames {
    std::string_view role;
    std::vector<std::string_view> names;
};

const std::vector<RoleNames>& outer_names() {
    static const std::vector<RoleNames> names{
        {role::embedding, {"token_embd"}},
        {role::final_norm, {"output_norm", "token_embd_norm"}},
        {role::head, {"output"}},
    };
    return names;
}

/// Within a block. Layers with one branch call its norm attn_norm, whichever branch it is.
const std::vector<RoleNames>& inner_names() {
    static const std::vector<RoleNames> names{
        {role::mixer_norm, {"attn_norm"}},
        {role::mixer_post_norm, {"post_attention_norm"}},
        {role::feed_forward_norm, {"ffn_norm", "post_attention_norm", "attn_norm"}},
        {role::feed_forward_post_norm, {"post_ffw_norm"}},
        {role::query, {"attn_q", "attn_q_b"}},
        {role::query_input, {"attn_q_a"}},
        {role::query_input_norm, {"attn_q_a_norm"}},
        {role::latent, {"attn_kv_a_mqa"}},
        {role::latent_norm, {"attn_kv_a_norm"}},
        {role::key_value, {"attn_kv_b"}},
        {role::sinks, {"attn_sinks"}},
        {role::key, {"attn_k"}},
        {role::value, {"attn_v"}},
        {role::query_key_value, {"attn_qkv"}},
        {role::query_norm, {"attn_q_norm"}},
        {role::key_norm, {"attn_k_norm"}},
        {role::output, {"attn_output", "ssm_out", "shortconv.out_proj"}},
        {role::output_norm, {"ssm_norm"}},
        {role::output_gate, {"attn_gate", "ssm_g_b"}},
        {role::gate_input, {"ssm_g_a"}},
        {role::decay, {"ssm_f_b"}},
        {role::decay_input, {"ssm_f_a"}},
        {role::learning_rate, {"ssm_beta"}},
        {role::rate_and_step, {"ssm_ba"}},
        {role::step, {"ssm_alpha", "ssm_dt"}},
        {role::step_norm, {"ssm_dt_norm"}},
        {role::b_norm, {"ssm_b_norm"}},
        {role::c_norm, {"ssm_c_norm"}},
        {role::scan_inputs, {"ssm_x"}},
        {role::query_kernel, {"ssm_conv1d_q"}},
        {role::key_kernel, {"ssm_conv1d_k"}},
        {role::value_kernel, {"ssm_conv1d_v"}},
        {role::gate, {"ffn_gate"}},
        {role::up, {"ffn_up"}},
        {role::down, {"ffn_down"}},
        {role::router, {"ffn_gate_inp"}},
        {role::router_correction, {"exp_probs_b.bias"}},
        {role::experts_down, {"ffn_down_exps"}},
        {role::experts_up, {"ffn_up_exps"}},
        {role::shared_gate, {"ffn_gate_shexp"}},
        {role::shared_up, {"ffn_up_shexp"}},
        {role::shared_down, {"ffn_down_shexp"}},
        {role::shared_weight, {"ffn_gate_inp_shexp"}},
        {role::input_projection, {"ssm_in"}},
        {role::kernel, {"ssm_conv1d", "shortconv.conv"}},
        {role::kernel_bias, {"ssm_conv1d.bias"}},
        {role::step_bias, {"ssm_dt.bias"}},
        {role::log_rate, {"ssm_a"}},
        {role::skip, {"ssm_d"}},
        {role::gates_and_input, {"shortconv.in_proj"}},
    };
    return names;
}

/// Two stacks or matrices of rows that one planned tensor has one after the other.
struct JoinedNames {
    std::string_view role;
    std::string_view whole;  ///< where the file has them joined as well; empty: never
    std::string_view first;
    std::string_view second;
};
constexpr std::array joined_names{
    // Phi-3's ffn_up is gate and up in one.
    JoinedNames{role::gate_up, "ffn_up", "ffn_gate", "ffn_up"},
    JoinedNames{role::shared_gate_up, "", "ffn_gate_shexp", "ffn_up_shexp"},
};

std::vector<StoredPart> find_joined(const StoredNames& names, const JoinedNames& joined) {
    const TensorEntry* first = names.find(joined.first);
    const TensorEntry* second = names.find(joined.second);
    if (first != nullptr && second != nullptr) {
        return {{.tensor = first}, {.tensor = second}};
    }
    const TensorEntry* whole = joined.whole.empty() ? nullptr : names.find(joined.whole);
    return whole == nullptr ? std::vector<StoredPart>{}
                            : std::vector<StoredPart>{{.tensor = whole}};
}

/// Expert by expert its gates, then its ups.
std::vector<StoredPart> find_gate_up_stack(const StoredNames& names, const Shape& shape) {
    const TensorEntry* gates = names.find("ffn_gate_exps");
    const TensorEntry* ups = names.find("ffn_up_exps");
    if (gates == nullptr || ups == nullptr || shape.size() != 3) {
        return {};
    }
    const std::uint64_t width = shape[1] / 2;
    std::vector<StoredPart> parts;
    for (std::uint64_t e = 0; e < shape[0]; ++e) {
        parts.push_back({.tensor = gates, .first = e * width, .rows = width});
        parts.push_back({.tensor = ups, .first = e * width, .rows = width});
    }
    return parts;
}

/// One expert is a run of rows of a stack.
std::vector<StoredPart> find_expert_rows(const StoredNames& names,
                                         const role::ExpertPart& expert,
                                         std::uint64_t rows) {
    const TensorEntry* stack = names.find(format("ffn_{}_exps", expert.part));
    return stack == nullptr ? std::vector<StoredPart>{}
                            : std::vector<StoredPart>{
                                  {.tensor = stack, .first = expert.index * rows, .rows = rows}};
}

}  // namespace

StoredNames::StoredNames(const Checkpoint& file, const PlannedTensor& planned)
    : file_(file), planned_(planned), role_(planned.role) {
    if (role_.starts_with(role::mamba_prefix)) {
        role_.erase(0, role::mamba_prefix.size());
        is_mamba_ = true;
    }
    constexpr std::string_view bias = ".bias";
    if (role_.ends_with(bias) && role_ != role::kernel_bias) {
        role_.erase(role_.size() - bias.size());
        ending_ = bias;
    }
}

std::string StoredNames::in_block(std::string_view name) const {
    return planned_.layer ? format("blk.{}.{}", planned_.layer->value, name) : std::string(name);
}

/// Some files leave the ending out, and some names have one of their own.
const TensorEntry* StoredNames::find(std::string_view name) const {
    const std::string whole = in_block(name);
    const TensorEntry* found = file_.find(whole + ending_);
    return found == nullptr && (ending_ == ".weight" || name.ends_with(".bias")) ? file_.find(whole)
                                                                                 : found;
}

std::vector<StoredPart> StoredNames::find_parts() const {
    for (const JoinedNames& joined : joined_names) {
        if (joined.role == role_) {
            return find_joined(*this, joined);
        }
    }
    if (role_ == role::experts_gate_up) {
        return find_gate_up_stack(*this, planned_.shape);
    }
    if (const auto expert = role::find_expert(role_)) {
        return find_expert_rows(*this, *expert, planned_.shape.front());
    }
    const auto& all = planned_.layer ? inner_names() : outer_names();
    const auto rule = std::ranges::find(all, std::string_view(role_), &RoleNames::role);
    if (rule == all.end()) {
        return {};
    }
    for (const std::string_view name : rule->names) {
        // Beside attention a state space has an output of its own.
        if (is_mamba_ && name == "attn_output") {
            continue;
        }
        if (const TensorEntry* found = find(name)) {
            return {{.tensor = found}};
        }
        // A bias belongs to the weight of its own name.
        if (ending_ == ".bias" && file_.find(in_block(name) + ".weight") != nullptr) {
            return {};
        }
    }
    return {};
}

}  // namespace anamnesis::checkpoint
