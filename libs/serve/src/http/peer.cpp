// SPDX-License-Identifier: Apache-2.0
#include "http/peer.hpp"

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

namespace anamnesis::serve {
namespace {

struct Address {
    std::string host;
    int port = 0;
};

/// `get` is getsockname or getpeername.
template <class Get>
std::optional<Address> read_address(int socket, const Get& get) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    auto* const plain = reinterpret_cast<sockaddr*>(&storage);
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (get(socket, plain, &size) != 0 || ::getnameinfo(plain,
                                                        size,
                                                        host.data(),
                                                        host.size(),
                                                        port.data(),
                                                        port.size(),
                                                        NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return std::nullopt;
    }
    return Address{.host = host.data(), .port = std::atoi(port.data())};
}

/// Calls `take` with every connected socket at `local_port` and its other end.
template <class Take>
void for_each_connection(int local_port, const Take& take) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        const int socket = std::atoi(entry.path().filename().c_str());
        const auto peer = read_address(socket, ::getpeername);
        if (!peer) {
            continue;
        }
        const auto own = read_address(socket, ::getsockname);
        if (own && own->port == local_port) {
            take(socket, *peer);
        }
    }
}

}  // namespace

Peer Peer::find(const std::string& address, int port, int local_port) {
    int found = -1;
    for_each_connection(local_port, [&](int socket, const Address& peer) {
        if (peer.port == port && peer.host == address) {
            found = socket;
        }
    });
    return Peer(found);
}

void Peer::end_all(int local_port) {
    for_each_connection(local_port, [](int socket, const Address& /*peer*/) {
        static_cast<void>(::shutdown(socket, SHUT_RDWR));
    });
}

void Peer::discard(std::chrono::milliseconds patience, std::chrono::milliseconds most) const {
    if (socket_ < 0) {
        return;
    }
    const auto end = std::chrono::steady_clock::now() + most;
    std::array<char, 16384> bytes{};
    pollfd question{.fd = socket_, .events = POLLIN, .revents = 0};
    while (std::chrono::steady_clock::now() < end &&
           ::poll(&question, 1, static_cast<int>(patience.count())) > 0 &&
           ::recv(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
}

bool Peer::has_gone() const {
    if (socket_ < 0) {
        return false;
    }
    pollfd question{.fd = socket_, .events = POLLRDHUP, .revents = 0};
    return ::poll(&question, 1, 0) > 0 && (question.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

}  // namespace anamnesis::serve
