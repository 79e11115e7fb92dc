// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {

/// The tensors of a checkpoint by canonical name.
class TensorNames {
public:
    explicit TensorNames(const Checkpoint& checkpoint);

    /// Null where there is none; the first where wrappers made two of it.
    const TensorEntry* find(std::string_view canonical) const;
    /// All tensors of one canonical name: more than one is a contradiction.
    const std::vector<const TensorEntry*>& all(std::string_view canonical) const;

    /// The name that a missing tensor would have, with the prefix that its neighbours have.
    std::string full_name(std::string_view canonical) const;

    /// Layers that have a tensor, ascending, with the name of one.
    const std::map<std::uint32_t, std::string>& layers() const { return layers_; }

    /// Canonical names, sorted.
    const std::map<std::string, std::vector<const TensorEntry*>, std::less<>>& by_name() const {
        return by_name_;
    }

    /// True where any canonical name ends with `suffix`.
    bool any_ends_with(std::string_view suffix) const;

private:
    std::map<std::string, std::vector<const TensorEntry*>, std::less<>> by_name_;
    std::map<std::uint32_t, std::string> layers_;
    std::string prefix_;
};

/// The place of the layer number in a canonical name: "layers.3.x" gives 3 and "x".
struct NumberedName {
    std::string_view container;  ///< "layers", "h", "blocks"
    std::uint32_t number = 0;
    std::string_view rest;
};
std::optional<NumberedName> find_numbered(std::string_view canonical);

/// The part of a tensor name before the name of its scale, if it is one: "x.weight_scale_inv" gives
/// "x.weight".
std::optional<std::string> find_weight_of_scale(std::string_view name);

}  // namespace anamnesis::checkpoint
