// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <httplib.h>

#include "anamnesis/base/json.hpp"

namespace anamnesis::testing {

/// `anamnesis serve` as a process of its own, on a port that it chose.
class ServedProcess {
public:
    /// `options`: all words but the verb and the port.
    explicit ServedProcess(const std::vector<std::string>& options) {
        std::vector<std::string> words{ANAMNESIS_BINARY, "serve", "--port", "0", "--json"};
        words.insert(words.end(), options.begin(), options.end());
        std::array<int, 2> out{};
        if (::pipe2(out.data(), O_CLOEXEC) != 0) {
            throw std::runtime_error("no pipe");
        }
        std::vector<char*> argv;
        for (const std::string& word : words) {
            argv.push_back(const_cast<char*>(word.c_str()));
        }
        argv.push_back(nullptr);
        process_ = ::fork();
        if (process_ == 0) {
            ::dup2(out[1], STDOUT_FILENO);
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
        ::close(out[1]);
        std::string line;
        char byte = '\0';
        while (::read(out[0], &byte, 1) == 1 && byte != '\n') {
            line += byte;
        }
        ::close(out[0]);
        if (line.empty()) {
            throw std::runtime_error("the server did not start");
        }
        url_ = Json::parse(line).at("url").as_string("url");
    }
    ~ServedProcess() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
    }
    ServedProcess(const ServedProcess&) = delete;
    ServedProcess& operator=(const ServedProcess&) = delete;

    const std::string& url() const { return url_; }

    void signal(int number) const { ::kill(process_, number); }
    /// Waits for the end. -1 where a signal ended it.
    int wait() {
        int status = 0;
        ::waitpid(std::exchange(process_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    std::unique_ptr<httplib::Client> connect() const {
        auto client = std::make_unique<httplib::Client>(url_);
        client->set_read_timeout(120);
        return client;
    }
    httplib::Result post(const std::string& path,
                         const std::string& body,
                         const httplib::Headers& headers = {}) const {
        return connect()->Post(path, headers, body, "application/json");
    }
    /// The reply to a request that is taken.
    Json ask(const std::string& path, const Json& body) const {
        const httplib::Result result = post(path, body.dump());
        if (!result || result->status != 200) {
            throw std::runtime_error(result ? result->body : "no reply");
        }
        return Json::parse(result->body);
    }
    /// A line of /metrics for the model `m`; -1 where there is none.
    double metric(const std::string& name) const {
        const httplib::Result result = connect()->Get("/metrics");
        const std::string start = "anamnesis_" + name + "{model=\"m\"} ";
        const std::size_t place = result ? result->body.find(start) : std::string::npos;
        return place == std::string::npos ? -1.0
                                          : std::stod(result->body.substr(place + start.size()));
    }

private:
    pid_t process_ = -1;
    std::string url_;
};

}  // namespace anamnesis::testing
