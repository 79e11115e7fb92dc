// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace anamnesis::serve {

/// The other end of the connection that a request came by. cpp-httplib hands its handlers no
/// socket, so it is found among the open ones by its addresses; a request that is being answered
/// keeps it open.
class Peer {
public:
    /// Of the connection from `address`:`port` to our `local_port`; without one where there is
    /// none.
    static Peer find(const std::string& address, int port, int local_port);

    /// The client has closed its end.
    bool has_gone() const;

    /// Reads what the client still sends, and drops it, until nothing has come for `patience`;
    /// `most` in all. A connection that is closed on what was not read takes the reply with it.
    void discard(std::chrono::milliseconds patience, std::chrono::milliseconds most) const;

    /// Ends every connection to `local_port`, whatever is under way on it.
    static void end_all(int local_port);

private:
    explicit Peer(int socket) : socket_(socket) {}

    int socket_;  ///< not owned; -1: unknown
};

}  // namespace anamnesis::serve
