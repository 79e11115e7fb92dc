// SPDX-License-Identifier: Apache-2.0
#include "grading/expression.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::eval::grading {

bool is_constant_name(std::string_view name) {
    return name == "pi" || name == "e" || name == "i";
}

bool Expression::uses(Operation operation) const {
    return std::ranges::any_of(nodes,
                               [&](const Node& node) { return node.operation == operation; });
}

bool Expression::uses_symbol(std::string_view name) const {
    return std::ranges::any_of(nodes, [&](const Node& node) {
        return node.operation == Operation::symbol && node.name == name;
    });
}

std::vector<std::string> Expression::variables() const {
    std::vector<std::string> names;
    for (const Node& node : nodes) {
        if (node.operation == Operation::symbol && !is_constant_name(node.name)) {
            names.push_back(node.name);
        }
        if (node.body) {
            for (const std::string& name : node.body->variables()) {
                if (name != node.name) {
                    names.push_back(name);
                }
            }
        }
    }
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return names;
}

}  // namespace anamnesis::eval::grading
