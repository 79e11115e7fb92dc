// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/json.hpp"

namespace anamnesis::serve {

/// Refuses a member: "'n' is a whole number from 1 to 128, not 'x'". `where` says which object of a
/// list it is of.   Errors: `usage`, always.
[[noreturn]] void refuse_member(std::string_view name,
                                std::string_view expected,
                                const Json& found,
                                std::string_view where = {});

/// The members of a request by name, each checked. Null is the same as absent.
/// Errors: `usage`, naming the member, for another type or a value out of range.
class Fields {
public:
    /// Errors: `usage` where the body is no object. The body must outlive it.
    explicit Fields(const Json& body);

    /// Null where it is absent.
    const Json* find(std::string_view name) const;
    std::optional<bool> boolean(std::string_view name) const;
    std::optional<std::int64_t> integer(std::string_view name,
                                        std::int64_t least,
                                        std::int64_t most) const;
    std::optional<double> number(std::string_view name, double least, double most) const;
    /// At most `most` bytes; of any length where it is not given.
    std::optional<std::string> text(std::string_view name,
                                    std::optional<std::size_t> most = std::nullopt) const;

    /// Errors: `usage` where one of these asks for something: any value but null, 0, an empty one
    /// or `neutral`.
    void refuse(std::initializer_list<std::string_view> names, double neutral = 0.0) const;

private:
    const Json& body_;
};

}  // namespace anamnesis::serve
