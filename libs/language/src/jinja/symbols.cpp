// SPDX-License-Identifier: Apache-2.0
#include "symbols.hpp"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "syntax.hpp"

namespace anamnesis::language::jinja {
namespace {

/// The names of one block.
struct Frame {
    const Frame* outer = nullptr;
    std::set<std::string> known{};  ///< read or assigned here
    std::set<std::string> assigned{};
    std::set<std::string> hidden{};  ///< assigned before they are read, and known nowhere outside

    bool knows(const std::string& name) const {
        return known.contains(name) || (outer != nullptr && outer->knows(name));
    }
    void read(const std::string& name) {
        if (!knows(name)) {
            known.insert(name);
        }
    }
    void assign(const std::string& name) {
        assigned.insert(name);
        if (known.insert(name).second && (outer == nullptr || !outer->knows(name))) {
            hidden.insert(name);
        }
    }
    void declare(const std::string& name) {
        assigned.insert(name);
        known.insert(name);
    }
    /// Names that only some of the branches assign keep their value from outside.
    void join(const std::vector<Frame>& branches) {
        const std::set<std::string> before = assigned;
        for (const Frame& branch : branches) {
            known.insert(branch.known.begin(), branch.known.end());
            assigned.insert(branch.assigned.begin(), branch.assigned.end());
        }
        for (const std::string& name : assigned) {
            if (!before.contains(name)) {
                hidden.erase(name);
            }
        }
    }
};

void read_names(const ExpressionPointer& expression, Frame& frame);

void read_names(const CallArguments& arguments, Frame& frame) {
    for (const ExpressionPointer& argument : arguments.positional) {
        read_names(argument, frame);
    }
    for (const auto& [name, argument] : arguments.named) {
        read_names(argument, frame);
    }
    read_names(arguments.star, frame);
    read_names(arguments.double_star, frame);
}

struct NameReader {
    Frame& frame;

    void operator()(const Constant& /*node*/) const {}
    void operator()(const Name& node) const { frame.read(node.name); }
    void operator()(const ListDisplay& node) const { read_all(node.items); }
    void operator()(const DictDisplay& node) const {
        for (const auto& [key, value] : node.items) {
            read_names(key, frame);
            read_names(value, frame);
        }
    }
    void operator()(const Attribute& node) const { read_names(node.object, frame); }
    void operator()(const Subscript& node) const {
        read_names(node.object, frame);
        read_names(node.index, frame);
    }
    void operator()(const Slice& node) const {
        for (const auto* part : {&node.object, &node.begin, &node.end, &node.step}) {
            read_names(*part, frame);
        }
    }
    void operator()(const Unary& node) const { read_names(node.operand, frame); }
    void operator()(const Binary& node) const {
        read_names(node.left, frame);
        read_names(node.right, frame);
    }
    void operator()(const Comparison& node) const {
        read_names(node.first, frame);
        for (const auto& [mark, expression] : node.rest) {
            read_names(expression, frame);
        }
    }
    void operator()(const Concatenation& node) const { read_all(node.items); }
    void operator()(const Conditional& node) const {
        for (const auto* part : {&node.condition, &node.then, &node.otherwise}) {
            read_names(*part, frame);
        }
    }
    void operator()(const Filter& node) const {
        read_names(node.operand, frame);
        read_names(node.arguments, frame);
    }
    void operator()(const Test& node) const {
        read_names(node.operand, frame);
        read_names(node.arguments, frame);
    }
    void operator()(const Call& node) const {
        read_names(node.callee, frame);
        read_names(node.arguments, frame);
    }

    void read_all(const std::vector<ExpressionPointer>& items) const {
        for (const ExpressionPointer& item : items) {
            read_names(item, frame);
        }
    }
};

void read_names(const ExpressionPointer& expression, Frame& frame) {
    if (expression) {
        std::visit(NameReader{frame}, expression->node);
    }
}

void assign_names(const Target& target, Frame& frame, bool declares) {
    for (const Target& item : target.items) {
        assign_names(item, frame, declares);
    }
    if (!target.attribute.empty()) {
        frame.read(target.name);
    } else if (target.items.empty()) {
        declares ? frame.declare(target.name) : frame.assign(target.name);
    }
}

void read_body(const Body& body, Frame& frame);

/// What a statement reads and assigns in the block that it is in.
struct FrameReader {
    Frame& frame;

    void operator()(const Data& /*node*/) const {}
    void operator()(const Print& node) const { read_names(node.value, frame); }
    void operator()(const If& node) const {
        std::vector<Frame> branches;
        for (const auto& [condition, body] : node.branches) {
            read_names(condition, frame);
        }
        for (const auto& [condition, body] : node.branches) {
            branches.push_back(frame);
            read_body(body, branches.back());
        }
        branches.push_back(frame);
        read_body(node.otherwise, branches.back());
        frame.join(branches);
    }
    void operator()(const For& node) const { read_names(node.items, frame); }
    void operator()(const Set& node) const {
        read_names(node.value, frame);
        assign_names(node.target, frame, false);
    }
    void operator()(const SetBlock& node) const { assign_names(node.target, frame, false); }
    void operator()(const std::shared_ptr<const Procedure>& macro) const {
        frame.assign(macro->name);
    }
    void operator()(const CallBlock& node) const { read_names(node.call, frame); }
    void operator()(const FilterBlock& node) const { read_names(node.filter, frame); }
    void operator()(const With& node) const {
        for (const auto& [target, value] : node.values) {
            read_names(value, frame);
        }
    }
    void operator()(const Generation& /*node*/) const {}
    void operator()(const Break& /*node*/) const {}
    void operator()(const Continue& /*node*/) const {}
};

void read_body(const Body& body, Frame& frame) {
    for (const Statement& statement : body) {
        std::visit(FrameReader{frame}, statement.node);
    }
}

/// Reads the blocks within a block, whose own names are all known.
class BlockReader {
public:
    explicit BlockReader(HiddenNames& hidden) : hidden_(hidden) {}

    void read(const Body& body, Frame& frame) {
        read_body(body, frame);
        if (!frame.hidden.empty()) {
            hidden_[&body] = {frame.hidden.begin(), frame.hidden.end()};
        }
        read_inner(body, frame);
    }

private:
    void read_inner(const Body& body, const Frame& frame) {
        for (const Statement& statement : body) {
            std::visit([&](const auto& node) { read_block(node, frame); }, statement.node);
        }
    }

    template <class Node>
    void read_block(const Node& /*node*/, const Frame& /*frame*/) {}

    void read_block(const If& node, const Frame& frame) {
        for (const auto& [condition, body] : node.branches) {
            read_inner(body, frame);
        }
        read_inner(node.otherwise, frame);
    }
    void read_block(const For& node, const Frame& outer) {
        Frame frame{.outer = &outer};
        frame.declare("loop");
        assign_names(node.target, frame, true);
        read(node.body, frame);
        Frame otherwise{.outer = &outer};
        read(node.otherwise, otherwise);
    }
    void read_block(const SetBlock& node, const Frame& outer) {
        Frame frame{.outer = &outer};
        read(node.body, frame);
    }
    void read_block(const Generation& node, const Frame& outer) {
        Frame frame{.outer = &outer};
        read(node.body, frame);
    }
    void read_block(const FilterBlock& node, const Frame& outer) {
        Frame frame{.outer = &outer};
        read_names(node.filter, frame);
        read(node.body, frame);
    }
    void read_block(const With& node, const Frame& outer) {
        Frame frame{.outer = &outer};
        for (const auto& [target, value] : node.values) {
            assign_names(target, frame, true);
        }
        read(node.body, frame);
    }
    void read_block(const std::shared_ptr<const Procedure>& macro, const Frame& outer) {
        Frame frame{.outer = &outer};
        for (const std::string& name : macro->parameters) {
            frame.declare(name);
        }
        for (const char* name : {"varargs", "kwargs", "caller"}) {
            frame.declare(name);
        }
        for (const ExpressionPointer& value : macro->defaults) {
            read_names(value, frame);
        }
        read(macro->body, frame);
    }
    void read_block(const CallBlock& node, const Frame& outer) { read_block(node.caller, outer); }

    HiddenNames& hidden_;
};

}  // namespace

HiddenNames find_hidden_names(const Body& root) {
    HiddenNames hidden;
    Frame frame;
    BlockReader(hidden).read(root, frame);
    return hidden;
}

}  // namespace anamnesis::language::jinja
