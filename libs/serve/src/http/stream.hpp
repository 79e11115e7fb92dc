// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <httplib.h>

#include "http/generation.hpp"
#include "http/peer.hpp"

namespace anamnesis::serve {

/// Sends the answers of a request as they come, as server-sent events. A client that goes away ends
/// the request; while nothing comes, a comment every ten seconds shows that the server is there.
void stream_answers(std::shared_ptr<const Generation> generation,
                    const Peer& peer,
                    httplib::Response& response);

}  // namespace anamnesis::serve
