// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

class HttpConnection;

/// How prompts travel to a server.
enum class PromptTransport : std::uint8_t {
    token_ids,  ///< /v1/completions with our tokens: no second BOS, no truncation unseen
    text,       ///< /v1/completions with text
    chat,       ///< /v1/chat/completions, the answer's prefix as an assistant turn to continue
};
inline constexpr std::array<Word<PromptTransport>, 3> transport_words{{
    {PromptTransport::token_ids, "tokens"},
    {PromptTransport::text, "text"},
    {PromptTransport::chat, "chat"},
}};

struct EndpointOptions {
    std::string url;        ///< "http://127.0.0.1:8000" or with /v1
    std::string model;      ///< the name it is served under; empty: the first of /v1/models
    std::string api_key{};  ///< sent as a bearer token
    PromptTransport transport = PromptTransport::token_ids;
    PromptForm form{};
    std::size_t concurrency = 4;
    std::chrono::seconds connect_timeout{10};
    std::chrono::seconds read_timeout{1800};  ///< prefilling 256K tokens takes minutes
    unsigned retries = 5;
    std::chrono::milliseconds first_pause{500};  ///< doubled for each retry, with jitter
    /// Fields beyond OpenAI's (top_k, min_p, repetition_penalty, cache_prompt): neutral values that
    /// keep a server's own defaults out.
    bool sends_extensions = true;
    bool limits_completion = false;        ///< the budget as max_completion_tokens, not max_tokens
    bool is_insecure = false;              ///< takes any certificate
    const char* model_option = "--model";  ///< what names the model, for errors
};

/// A model behind an OpenAI-compatible server: vLLM, SGLang, llama-server.
///
/// Retried, with pauses that double: broken connections, 408, 425, 429, 5xx, also where a reply
/// that says 200 holds them. Not retried: a prompt that is too long, any other refusal. No error
/// text is ever an answer, and neither is a reply without one. What every question would meet ends
/// the run at once, as ten equal refusals do where nothing was answered, and ten questions in a row
/// that stay without an answer for one reason. A folder's path is asked for as it is where
/// /v1/models does not list it: transformers serve lists no local model.
///
/// The environment's HTTPS_PROXY, http_proxy, ALL_PROXY, NO_PROXY and SSL_CERT_FILE hold.
///
/// Owner:  the tokenizer must outlive it; it is needed for token ids.
/// Errors: `not_found` where nobody listens or the model is not served; `unsupported` where what
///         answers is no such server.
class EndpointBackEnd final : public BackEnd {
public:
    /// Asks the server for its models.
    EndpointBackEnd(EndpointOptions options, const language::Tokenizer* tokenizer);
    ~EndpointBackEnd() override;

    void answer(const Next& next, const Take& take, const std::stop_token& cancel) override;
    std::optional<std::size_t> context_length() const override { return context_length_; }
    Json description() const override;

    const std::string& model() const& { return options_.model; }
    const std::string& model() const&& = delete;
    std::optional<double> busy_share() const override;
    std::vector<std::string> list_notes() const override;

private:
    struct Outcome;
    class Workers;

    void note(const Answer& answer);
    Outcome ask(HttpConnection& connection,
                const Question& question,
                const std::function<void(const std::string&)>& troubled,
                const std::stop_token& cancel) const;

    EndpointOptions options_;
    const language::Tokenizer* tokenizer_;
    std::optional<std::size_t> context_length_{};
    bool is_unlisted_ = false;  ///< asked by a name that /v1/models does not list
    std::string server_;        ///< what /v1/models says of who owns the model
    mutable std::mutex mutex_;
    double busy_seconds_ = 0.0;
    double slot_seconds_ = 0.0;
    std::uint64_t uncounted_ = 0;      ///< answers whose prompt the server did not count
    std::uint64_t clearly_fewer_ = 0;  ///< answers whose prompt seems not to be read to its end
    std::size_t most_unread_ = 0;      ///< tokens of one of them
    std::uint64_t all_thinking_ = 0;   ///< answers that its parser took for thinking
    std::uint64_t echoed_ = 0;         ///< answers that began with their prompts
    std::uint64_t capped_ = 0;         ///< answers that a limit of its own cut
    std::uint64_t taken_ = 0;
    std::uint64_t empty_ = 0;    ///< of those, answers of white space alone
    std::string other_model_{};  ///< what it says that answered, where that is another
};

}  // namespace anamnesis::eval
