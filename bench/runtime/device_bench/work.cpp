// SPDX-License-Identifier: Apache-2.0
#include "work.hpp"

#include <string>
#include <variant>

#include "anamnesis/runtime/model_spec.hpp"

namespace anamnesis::bench {
namespace {

bool is_of_the_vocabulary(const std::string& name) {
    return name.find("embed_tokens") != std::string::npos ||
           name.find("lm_head") != std::string::npos;
}

}  // namespace

Work::Work(const runtime::Network& network) {
    const runtime::ModelSpec& spec = network.spec();
    double bytes_of_value = 2.0;
    for (const auto& [name, tensor] : network.parameters()) {
        const auto count = static_cast<double>(tensor.numel());
        // An embedding that is not tied gives one row a token.
        const bool is_looked_up =
            name.find("embed_tokens") != std::string::npos && !spec.is_head_tied;
        if (!is_looked_up) {
            weight_bytes_ += static_cast<double>(tensor.nbytes());
        }
        if (tensor.dim() == 2 && is_of_the_vocabulary(name)) {
            bytes_of_value = static_cast<double>(tensor.element_size());
            head_weights_ = count;
        } else if (tensor.dim() == 2) {
            layer_weights_ += count;
        }
    }
    for (const runtime::LayerSpec& layer : spec.layers) {
        add_layer(layer, bytes_of_value);
    }
}

void Work::add_layer(const runtime::LayerSpec& layer, double bytes_of_value) {
    const auto add_state = [&](double heads, double keys, double values, double operations) {
        linear_operations_ += operations * heads * keys * values;
        linear_bytes_ += 4.0 * heads * keys * values;
    };
    if (const auto* attention = std::get_if<checkpoint::AttentionSpec>(&layer.mixer)) {
        attention_width_ +=
            static_cast<double>(attention->heads.query_heads) * attention->heads.head_dim;
        cache_bytes_ +=
            2.0 * attention->heads.kv_heads * attention->heads.head_dim * bytes_of_value;
    } else if (const auto* lightning = std::get_if<checkpoint::LightningSpec>(&layer.mixer)) {
        add_state(lightning->heads.query_heads,
                  lightning->heads.head_dim,
                  lightning->heads.head_dim,
                  4.0);
    } else if (const auto* delta = std::get_if<checkpoint::GatedDeltaSpec>(&layer.mixer)) {
        add_state(delta->value_heads, delta->key_dim, delta->value_dim, 6.0);
    } else if (const auto* jet = std::get_if<checkpoint::JetSpec>(&layer.mixer)) {
        add_state(jet->heads, jet->key_dim, jet->value_dim, 6.0);
    }
}

double Work::prefill_operations(double length) const {
    return 2.0 * (layer_weights_ * length + head_weights_) +
           2.0 * length * length * attention_width_ + linear_operations_ * length;
}

double Work::decode_bytes(double context) const {
    return weight_bytes_ + cache_bytes_ * context + 2.0 * linear_bytes_;
}

}  // namespace anamnesis::bench
