// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/transport_trial.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "endpoint/http.hpp"
#include "endpoint/models.hpp"
#include "endpoint/reply.hpp"
#include "endpoint/request.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view beyond = "fields beyond OpenAI's";

std::string_view describe(PromptTransport transport) {
    switch (transport) {
        case PromptTransport::token_ids:
            return "token ids";
        case PromptTransport::text:
            return "text";
        case PromptTransport::chat:
            break;
    }
    return "chats";
}

PromptTransport to_transport(TransportChoice choice) {
    return choice == TransportChoice::chat   ? PromptTransport::chat
           : choice == TransportChoice::text ? PromptTransport::text
                                             : PromptTransport::token_ids;
}

/// Nothing, or why a server did not answer.
struct Trial {
    std::optional<std::string> refusal{};
    bool is_hopeless = false;  ///< it would say the same however it is asked
    bool wants_other_budget = false;
    bool is_miscounted = false;
};

class Prober {
public:
    Prober(const EndpointOptions& options,
           const language::Tokenizer* tokenizer,
           const Question& question,
           const Watch& watch)
        : connection_(options), tokenizer_(tokenizer), question_(question), watch_(watch) {}

    /// Corrects `options` where the server says how.
    Trial ask(EndpointOptions& options) {
        Trial trial = ask_once(options);
        if (trial.wants_other_budget && !options.limits_completion) {
            options.limits_completion = true;
            trial = ask_once(options);
        }
        return trial;
    }

private:
    Trial ask_once(const EndpointOptions& options) {
        const CompletionRequest request = make_request(question_, options, tokenizer_);
        for (unsigned attempt = 0;; ++attempt) {
            const HttpReply reply = connection_.post(request.path, request.body);
            throw_if_stopped(watch_, [] { return "interrupted before the first question"; });
            const Reply read = read_completion(reply, request.sent);
            const auto* retry = std::get_if<Retry>(&read);
            // A server that fails at a form of prompt that it does not know says 500.
            const unsigned most = retry != nullptr && is_loading(*retry)
                                      ? options.retries
                                      : std::min(1U, options.retries);
            if (retry == nullptr || attempt >= most) {
                return judge(reply, read);
            }
            if (!std::exchange(is_told_, true)) {
                watch_.warn(
                    format("the trial question is not answered yet: {}; asking again, up "
                           "to {} times",
                           retry->reason,
                           options.retries));
            }
            pause(retry->wait.value_or(options.first_pause * (1U << std::min(attempt, 10U))),
                  watch_.stop());
        }
    }

    static bool is_loading(const Retry& retry) {
        constexpr std::array<int, 7> passing{0, 408, 425, 429, 502, 503, 504};
        return std::ranges::find(passing, retry.status) != passing.end();
    }

    static Trial judge(const HttpReply& reply, const Reply& read) {
        if (const auto* retry = std::get_if<Retry>(&read)) {
            return {.refusal = retry->reason, .is_hopeless = is_loading(*retry)};
        }
        const auto* refusal = std::get_if<Refusal>(&read);
        if (refusal == nullptr || refusal->is_understood) {
            return {};
        }
        return {.refusal = refusal->reason,
                .is_hopeless = reply.status == 401 || reply.status == 403,
                .wants_other_budget = reply.body.find("max_completion_tokens") != std::string::npos,
                .is_miscounted = refusal->is_miscounted};
    }

    HttpConnection connection_;
    const language::Tokenizer* tokenizer_;
    const Question& question_;
    const Watch& watch_;
    bool is_told_ = false;
};

std::vector<EndpointOptions> list_ways(const EndpointOptions& options,
                                       TransportChoice choice,
                                       bool has_tokenizer) {
    std::vector<EndpointOptions> ways;
    const auto add = [&](PromptTransport transport, bool sends_extensions) {
        ways.push_back(options);
        ways.back().transport = transport;
        ways.back().sends_extensions = sends_extensions;
    };
    if (choice != TransportChoice::automatic) {
        add(to_transport(choice), options.sends_extensions);
        return ways;
    }
    for (const PromptTransport transport :
         {PromptTransport::token_ids, PromptTransport::text, PromptTransport::chat}) {
        if (transport == PromptTransport::token_ids && !has_tokenizer) {
            continue;
        }
        if (options.sends_extensions) {
            add(transport, true);
        }
        add(transport, false);
    }
    return ways;
}

/// The options of a run that goes on.
EndpointOptions keep_transport(EndpointOptions options,
                               TransportChoice choice,
                               const Json& earlier) {
    const std::string word = earlier.at("transport").as_string("'transport'");
    options.transport = word == "token_ids" ? PromptTransport::token_ids
                                            : parse_word(transport_words, word, "transport");
    if (choice != TransportChoice::automatic && to_transport(choice) != options.transport) {
        throw Error(ErrorKind::mismatch,
                    format("the prompts of this folder's answers went as {}, not as {}; take "
                           "another --out, or leave out --transport",
                           describe(options.transport),
                           describe(to_transport(choice))));
    }
    const auto flag = [&](const char* name, bool otherwise) {
        const Json* value = earlier.find(name);
        return value == nullptr ? otherwise : value->as_boolean(name);
    };
    options.sends_extensions = flag("extensions", options.sends_extensions);
    options.limits_completion = flag("max_completion_tokens", options.limits_completion);
    return options;
}

void tell(const EndpointOptions& taken, const std::string& first_refusal, const Watch& watch) {
    watch.log(format("{}: prompts go as {}{}",
                     taken.model.empty() ? taken.url : taken.model,
                     describe_transport(taken),
                     first_refusal.empty() ? "" : "; not as " + first_refusal));
    if (!taken.sends_extensions && !first_refusal.empty()) {
        watch.warn(
            "the server's own defaults hold where OpenAI has no field: a repetition penalty, say, "
            "changes greedy answers");
    }
    if (taken.transport == PromptTransport::chat && !taken.form.chat && !first_refusal.empty()) {
        watch.warn(
            "the server takes no plain prompts: it puts them into its own chat template, as with "
            "--transport chat");
    }
}

/// Of a text a server's count is no proof: what it does to token ids, it may do to texts unseen.
void tell_miscount(const EndpointOptions& taken, const std::string& refusal, const Watch& watch) {
    watch.warn(
        format("{}; prompts go as {} instead, where a prompt that is cut by a few tokens is not "
               "seen. If the server cuts prompts, the answers are wrong: give it a larger context",
               refusal,
               describe(taken.transport)));
}

/// What OpenAI has no field for is refused where nothing else can be sent: answers without it would
/// lie beside settings that name it.
/// Errors: `unsupported`.
void require_fields(const EndpointOptions& taken, const language::Sampling& sampling) {
    if (taken.sends_extensions) {
        return;
    }
    const bool has_variables = taken.form.enable_thinking || !taken.form.variables.is_null();
    std::string lost;
    if (sampling.top_k != 0) {
        lost = "--top-k";
    } else if (taken.transport == PromptTransport::chat && has_variables) {
        lost = "--thinking and --chat-var";
    }
    if (!lost.empty()) {
        throw Error(
            ErrorKind::unsupported,
            format("{}: prompts go as {}, and OpenAI's interface has no field for {}; leave "
                   "them out, or set them where the server is started",
                   taken.model.empty() ? taken.url : taken.model,
                   describe_transport(taken),
                   lost));
    }
}

}  // namespace

EndpointOptions find_transport(EndpointOptions options,
                               TransportChoice choice,
                               const language::Tokenizer* tokenizer,
                               const EngineOpening& opening) {
    if (opening.earlier.find("transport") != nullptr) {
        return keep_transport(std::move(options), choice, opening.earlier);
    }
    const bool needs_tokenizer = choice == TransportChoice::token_ids;
    require_tokenizer(needs_tokenizer ? PromptTransport::token_ids : PromptTransport::text,
                      tokenizer);
    options.model = find_served_model(options).name;
    Prober prober(options, tokenizer, opening.trial, opening.watch);
    std::vector<std::string> refusals;
    std::set<std::string> reasons;
    std::string miscount;
    for (EndpointOptions& way : list_ways(options, choice, tokenizer != nullptr)) {
        const Trial trial = prober.ask(way);
        if (!trial.refusal) {
            tell(way, refusals.empty() ? std::string() : refusals.front(), opening.watch);
            if (!miscount.empty()) {
                tell_miscount(way, miscount, opening.watch);
            }
            return std::move(way);
        }
        const std::string refusal = format("{}: {}", describe_transport(way), *trial.refusal);
        if (trial.is_hopeless || choice != TransportChoice::automatic) {
            throw Error(ErrorKind::io, "the trial question has no answer as " + refusal);
        }
        miscount = trial.is_miscounted ? *trial.refusal : miscount;
        refusals.push_back(refusal);
        reasons.insert(*trial.refusal);
    }
    throw Error(ErrorKind::io,
                format("the trial question is answered in no way, neither as token ids nor as text "
                       "nor as a chat: {}",
                       reasons.size() == 1 ? *reasons.begin() : join(refusals, ". ")));
}

Engine open_server(EndpointOptions options,
                   TransportChoice choice,
                   const language::Tokenizer* tokenizer,
                   const EngineOpening& opening) {
    EndpointOptions taken = find_transport(std::move(options), choice, tokenizer, opening);
    require_fields(taken, opening.trial.sampling);
    return make_endpoint_engine(std::move(taken), tokenizer);
}

std::string describe_transport(const EndpointOptions& options) {
    return format("{}, {} {}{}",
                  describe(options.transport),
                  options.sends_extensions ? "with" : "without",
                  beyond,
                  options.limits_completion ? ", with max_completion_tokens" : "");
}

}  // namespace anamnesis::eval
