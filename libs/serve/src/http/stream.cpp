// SPDX-License-Identifier: Apache-2.0
#include "http/stream.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <httplib.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

#include "channel.hpp"
#include "http/failures.hpp"
#include "http/replies.hpp"

namespace anamnesis::serve {
namespace {

constexpr std::chrono::milliseconds patience{100};
constexpr std::chrono::seconds silence{10};

/// One request that streams.
class AnswerStream {
public:
    AnswerStream(std::shared_ptr<const Generation> generation, const Peer& peer)
        : generation_(std::move(generation)), peer_(peer), chunks_(*generation_) {}

    /// Sends what there is of one event. False once the client has gone.
    bool send_next(httplib::DataSink& sink) {
        if (peer_.has_gone()) {
            return false;
        }
        const std::optional<Event> event = generation_->channel->pop(patience);
        if (!event) {
            return send_sign_of_life(sink);
        }
        last_sent_ = std::chrono::steady_clock::now();
        try {
            for (const Json& chunk : chunks_.make_chunks(*event)) {
                if (!send(sink, chunk.dump())) {
                    return false;
                }
            }
        } catch (const Error& error) {
            static_cast<void>(send(sink, to_failure(error).to_json().dump()));
            sink.done();
            return true;
        }
        return !chunks_.are_complete() || send_end(sink);
    }

    /// The client has all, or is gone: the engine need not go on.
    void close() { generation_->channel->close(); }

private:
    static bool send(httplib::DataSink& sink, std::string_view data) {
        const std::string event = "data: " + std::string(data) + "\n\n";
        return sink.write(event.data(), event.size());
    }

    bool send_sign_of_life(httplib::DataSink& sink) {
        constexpr std::string_view comment = ": the prompt is being read\n\n";
        const auto now = std::chrono::steady_clock::now();
        if (now - last_sent_ < silence) {
            return true;
        }
        last_sent_ = now;
        return sink.write(comment.data(), comment.size());
    }

    bool send_end(httplib::DataSink& sink) {
        const bool is_sent =
            (!generation_->how.streams_usage || send(sink, chunks_.make_usage_chunk().dump())) &&
            send(sink, "[DONE]");
        sink.done();
        return is_sent;
    }

    std::shared_ptr<const Generation> generation_;
    Peer peer_;
    AnswerChunks chunks_;
    std::chrono::steady_clock::time_point last_sent_ = std::chrono::steady_clock::now();
};

}  // namespace

void stream_answers(std::shared_ptr<const Generation> generation,
                    const Peer& peer,
                    httplib::Response& response) {
    auto stream = std::make_shared<AnswerStream>(std::move(generation), peer);
    response.set_header("Cache-Control", "no-cache");
    response.set_chunked_content_provider(
        "text/event-stream",
        [stream](std::size_t /*offset*/, httplib::DataSink& sink) {
            return stream->send_next(sink);
        },
        [stream](bool /*success*/) { stream->close(); });
}

}  // namespace anamnesis::serve
