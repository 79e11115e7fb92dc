// SPDX-License-Identifier: Apache-2.0
#include "adapter_factors.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/runtime/network.hpp"

#include "tensor_values.hpp"

namespace anamnesis::calibration {
namespace {

constexpr std::string_view weight_suffix = ".weight";

[[noreturn]] void refuse(std::string_view name, std::string_view why) {
    throw Error(ErrorKind::unsupported,
                format("the adapter's {} does not run here: {}; merge the adapter first (restore "
                       "--pre BASE --adapter ADAPTER --method lerp --alpha 0 --out MERGED), then "
                       "repair MERGED",
                       in_quotes(name),
                       why));
}

}  // namespace

runtime::AdapterChoice choose_factors(const checkpoint::AdapterMatch& match,
                                      const at::TensorOptions& options,
                                      const std::map<std::string, at::Tensor>& fitted) {
    std::map<std::string, runtime::AdapterFactors> factors;
    for (const checkpoint::MatchedModule& matched : match.modules) {
        const checkpoint::AdapterModule& module = *matched.module;
        if (module.magnitude != nullptr || module.bias != nullptr || module.is_embedding) {
            refuse(module.path,
                   module.magnitude != nullptr ? "it is DoRA"
                   : module.bias != nullptr    ? "it has a bias"
                                               : "it is an embedding");
        }
        const auto of_fit = fitted.find(module.a->name);
        const at::Tensor down = of_fit == fitted.end() ? read_values(*module.a) : of_fit->second;
        factors[matched.weight->name] = {.down = down.to(options),
                                         .up = read_values(*module.b).to(options),
                                         .scale = matched.scale};
    }
    return
        [factors](const std::string& name, const Shape&) -> std::optional<runtime::AdapterFactors> {
            const auto found = factors.find(name);
            return found == factors.end() ? std::nullopt : std::optional(found->second);
        };
}

std::map<std::string, at::Tensor> read_saved(const checkpoint::AdapterMatch& match) {
    std::map<std::string, at::Tensor> saved;
    for (const checkpoint::MatchedSaved& matched : match.saved) {
        if (matched.saved->rows) {
            refuse(matched.saved->name, "it replaces some rows of a tensor");
        }
        saved[matched.base->name] = read_values(*matched.saved->tensor).to(at::kFloat);
    }
    return saved;
}

void refuse_left_out(const checkpoint::AdapterMatch& match, const runtime::Network& network) {
    for (const checkpoint::MatchedModule& matched : match.modules) {
        std::string path = matched.weight->name;
        path.resize(path.size() - std::min(path.size(), weight_suffix.size()));
        if (!network.trained().contains(path + ".lora_A.weight")) {
            refuse(matched.module->path, "no product of the running model takes an adapter there");
        }
    }
}

}  // namespace anamnesis::calibration
