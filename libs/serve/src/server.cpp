// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/serve/server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <httplib.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"

#include "engine.hpp"
#include "http/peer.hpp"
#include "http/routes.hpp"

namespace anamnesis::serve {
namespace {

constexpr std::chrono::seconds read_timeout{30};
constexpr std::chrono::seconds write_timeout{30};
/// For replies that are being written when the server stops.
constexpr std::chrono::milliseconds write_patience{2000};
constexpr std::size_t spare_threads = 32;

void check(const std::vector<ServedModel>& models, const ServeOptions& options) {
    if (models.empty()) {
        throw Error(ErrorKind::usage, "there is no model to serve");
    }
    for (const ServedModel& served : models) {
        static_cast<void>(served.model->tokenizer());
        if (std::ranges::count(models, served.name, &ServedModel::name) > 1) {
            throw Error(ErrorKind::usage,
                        format("two models are called {}; name them with --model NAME=PATH",
                               in_quotes(served.name)));
        }
    }
    if (options.sequences == 0 || options.waiting == 0 || options.block == 0) {
        throw Error(ErrorKind::usage,
                    "a server makes at least one answer at once, lets one prompt "
                    "wait, and reads a token at a time");
    }
}

std::uint64_t quarter_of_memory() {
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 4;
}

/// One for each request that may be under way, and some for the short ones.
std::size_t count_threads(std::size_t models, const ServeOptions& options) {
    return std::min<std::size_t>(models * (options.sequences + options.waiting) + spare_threads,
                                 1024);
}

/// Connections that the system holds until they are taken.
constexpr int waiting_connections = 1024;

std::uint16_t listen_at(httplib::Server& server, const ServeOptions& options) {
    const int port = options.port == 0 ? server.bind_to_any_port(options.host)
                     : server.bind_to_port(options.host, options.port) ? options.port
                                                                       : -1;
    if (port < 0) {
        throw Error(ErrorKind::io,
                    format("the address {}:{} cannot be taken: another program may be using it",
                           options.host,
                           options.port));
    }
    return static_cast<std::uint16_t>(port);
}

std::string make_url(const std::string& host, std::uint16_t port) {
    const bool is_v6 = host.find(':') != std::string::npos;
    return is_v6 ? format("http://[{}]:{}", host, port) : format("http://{}:{}", host, port);
}

/// The thread that takes connections, until its end.
class Listener {
public:
    explicit Listener(httplib::Server& server)
        : server_(server), thread_([&server] { server.listen_after_bind(); }) {
        // Before that a stop would be lost.
        while (!server_.is_running()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    ~Listener() {
        server_.stop();
        thread_.join();
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

private:
    httplib::Server& server_;
    std::thread thread_;
};

/// Requests whose replies are not written yet: the library tells of both.
class UnwrittenReplies {
public:
    /// `refuse` answers a request before it is routed, or gives false.
    void watch(httplib::Server& server,
               std::function<bool(const httplib::Request&, httplib::Response&)> refuse) {
        server.set_pre_routing_handler(
            [this, refuse = std::move(refuse)](const httplib::Request& request,
                                               httplib::Response& response) {
                {
                    const std::lock_guard lock(mutex_);
                    requests_.insert(&request);
                }
                return refuse(request, response) ? httplib::Server::HandlerResponse::Handled
                                                 : httplib::Server::HandlerResponse::Unhandled;
            });
        server.set_logger([this](const httplib::Request& request, const httplib::Response&) {
            const std::lock_guard lock(mutex_);
            requests_.erase(&request);
            written_.notify_all();
        });
    }

    void wait(std::chrono::milliseconds patience) {
        std::unique_lock lock(mutex_);
        written_.wait_for(lock, patience, [this] { return requests_.empty(); });
    }

private:
    std::mutex mutex_;
    std::condition_variable written_;
    std::set<const httplib::Request*> requests_;
};

void wait_for_stop(const Watch& watch) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait(lock, watch.stop(), [] { return false; });
}

}  // namespace

void serve(std::vector<ServedModel> models,
           const ServeOptions& options,
           const std::function<void(std::string_view url)>& listening,
           const Watch& watch) {
    check(models, options);
    ServeOptions complete = options;
    if (complete.state_bytes == 0) {
        complete.state_bytes = quarter_of_memory();
    }
    UnwrittenReplies unwritten;
    httplib::Server server;
    const std::size_t threads = count_threads(models.size(), complete);
    server.new_task_queue = [threads] {
        return std::make_unique<httplib::ThreadPool>(threads).release();
    };
    server.set_read_timeout(read_timeout);
    server.set_write_timeout(write_timeout);
    server.set_tcp_nodelay(true);
    socket_t listening_socket = INVALID_SOCKET;
    // The library's default lets a second server take the same port, and half of its requests.
    server.set_socket_options([&listening_socket](socket_t socket) {
        const int yes = 1;
        ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        listening_socket = socket;
    });
    server.set_payload_max_length(complete.body_bytes);
    const std::uint16_t port = listen_at(server, complete);
    // The library lets five connections wait: of sixteen clients that come at once, some would be
    // sent away or come again a second later.
    ::listen(listening_socket, waiting_connections);
    Engine engine(models, complete);
    Routes routes(models, engine, complete);
    routes.add_to(server);
    unwritten.watch(server,
                    [&routes](const httplib::Request& request, httplib::Response& response) {
                        return routes.refuse_before_body(request, response);
                    });
    const Listener listener(server);
    listening(make_url(complete.host, port));
    wait_for_stop(watch);
    engine.drain(complete.drain);
    engine.stop();
    // An answer that has just ended is still to be written.
    unwritten.wait(write_patience);
    // A request that is still being sent, or an answer that nobody reads, would hold its thread for
    // as long as its client likes.
    Peer::end_all(port);
}

}  // namespace anamnesis::serve
