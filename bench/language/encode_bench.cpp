// SPDX-License-Identifier: Apache-2.0
// encode_bench TOKENIZER TEXT: for each line of standard input encodes the file once, or its
// paragraphs one by one (the line "paragraphs"), and prints the seconds of CPU time, the tokens and
// a digest of their ids. tokenizer_peer.py runs it in turn with the package `tokenizers`.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace {

std::vector<std::string_view> cut(std::string_view text) {
    std::vector<std::string_view> paragraphs;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        paragraphs.push_back(line);
        text.remove_prefix(line.size() + (line.size() < text.size() ? 1 : 0));
    }
    return paragraphs;
}

void encode(const anamnesis::language::Tokenizer& tokenizer,
            const std::vector<std::string_view>& texts) {
    // Of the processor: other work on the machine does not count.
    const std::clock_t begin = std::clock();
    std::vector<std::vector<anamnesis::language::TokenId>> results;
    results.reserve(texts.size());
    for (const std::string_view text : texts) {
        results.push_back(tokenizer.encode(text));
    }
    const double seconds =
        static_cast<double>(std::clock() - begin) / static_cast<double>(CLOCKS_PER_SEC);
    std::size_t count = 0;
    std::uint32_t digest = 0;
    for (const auto& ids : results) {
        count += ids.size();
        for (const auto id : ids) {
            digest = digest * 1'000'003U + static_cast<std::uint32_t>(id);
        }
    }
    std::printf("%.9f %zu %u\n", seconds, count, digest);
    std::fflush(stdout);
}

}  // namespace

int main(int argument_count, char** arguments) {
    try {
        if (argument_count != 3) {
            std::fprintf(stderr, "encode_bench TOKENIZER TEXT\n");
            return 2;
        }
        const auto tokenizer = anamnesis::language::Tokenizer::open(arguments[1]);
        const std::string text = anamnesis::io::read_text(arguments[2]);
        const std::vector<std::string_view> whole{text};
        const std::vector<std::string_view> paragraphs = cut(text);
        for (std::string line; std::getline(std::cin, line);) {
            encode(tokenizer, line == "paragraphs" ? paragraphs : whole);
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
