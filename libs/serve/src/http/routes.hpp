// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <mutex>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <httplib.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/serve/server.hpp"

#include "engine.hpp"
#include "http/failures.hpp"
#include "http/generation.hpp"

namespace anamnesis::serve {

/// What each path of the server does.
///
/// Threads: cpp-httplib answers each connection on a thread of its own; they meet in the engine.
class Routes {
public:
    /// All must outlive it.
    Routes(std::span<const ServedModel> models, Engine& engine, const ServeOptions& options)
        : models_(models), engine_(engine), options_(options) {}

    void add_to(httplib::Server& server);

    /// Refuses a request for which the library would wait: one whose body has no length or a wrong
    /// one. True where it did. To be called before the library looks for a path.
    bool refuse_before_body(const httplib::Request& request, httplib::Response& response) const;

private:
    using Request = httplib::Request;
    using Response = httplib::Response;

    /// Runs a handler for those who have the key; what it throws becomes a refusal.
    template <class Handle>
    void guard(const Request& request, Response& response, const Handle& handle) const;
    template <class Handle>
    void add_get(httplib::Server& server, const char* path, Handle handle);
    template <class Handle>
    void add_post(httplib::Server& server, const char* path, Handle handle);

    /// The method that a path is asked by; empty where nothing is served.
    std::string find_method(const std::string& path) const;
    /// Why nothing answers at the path of a request by its method.
    Failure find_wrong_path(const Request& request) const;
    std::size_t find_model(const std::string& name) const;
    Json list_models() const;
    Json describe_model(std::size_t index) const;
    std::string write_metrics() const;
    template <class Parse>
    auto parse(Parse parser, std::string_view body) -> decltype(parser(body));
    template <class Parse>
    void generate(const Request& request, Response& response, std::string_view body, Parse parser);
    Json tokenize(std::string_view body);
    Json detokenize(std::string_view body);

    std::span<const ServedModel> models_;
    Engine& engine_;
    const ServeOptions& options_;
    std::mutex parsing_;
    std::vector<std::pair<std::regex, std::string>> methods_;  ///< of each path the one it has
};

}  // namespace anamnesis::serve
