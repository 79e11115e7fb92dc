#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every option that the documentation gives to a verb is one that the verb's --help knows.

  check_options.py PROGRAM [FILE.md…]     without files: README.md, docs/ and examples/

Commands are looked for in fenced blocks, and in code within text ("`restore --shard i/n`"), where an option alone
("`--no-bias`") must be known to some verb or belong to a program that FOREIGN names. What a block shows as not
understood need not be. Verbs that a build without LibTorch has no --help for are passed over, and said to be.
"""
import re
import sys

from documents import documents, find_blocks, read_document, read_help, read_verbs

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Options that are named alone, and of which program they are.
FOREIGN = {
    "--version": "anamnesis",
    "--demo": "bench/train/train_bench.py",
    "--enforce-eager": "vLLM",
    "--fuse-qkv": "llama.cpp's converter",
    "--list-steps": "tools/gpu_check.sh",
    "--programs": "tools/gpu_pack.sh",
    "--templates": "tests/chat_templates/differential.py",
}


def read_options(text):
    """Options are at the start of a line of --help; what they mean is to the right of them."""
    known = set()
    for line in text.split("\n"):
        declared = re.match(r"  ((?:-\w,)?--[\w-]+(?:,--[\w-]+)*)", line)
        if declared:
            known.update(OPTION.findall(declared[1].replace(",", " ")))
    if not {"--help", "--quiet"} <= known:
        sys.exit(f"options cannot be read from this:\n{text}")
    return known


def find_commands(text):
    """(verb, options) of each call in lines of a shell."""
    for line in text.replace("\\\n", " ").split("\n"):
        for part in re.split(r"&&|\|\||[;|]|\s#|\s&(?:\s|$)", line):
            found = re.search(r"(?<![\w.-])anamnesis +([a-z][\w-]*)(.*)", part)
            if found:
                yield found[1], OPTION.findall(found[2])


class Checker:
    def __init__(self, program):
        texts = {verb: read_help(program, verb) for verb in read_verbs(program)}
        self.options = {verb: read_options(text) for verb, text in texts.items() if text}
        self.unknown_verbs = [verb for verb, text in texts.items() if not text]
        self.looked_at, self.passed_over = 0, 0
        self.failures = []

    def check_command(self, place, verb, options, block=""):
        if verb in self.unknown_verbs:
            self.passed_over += len(options)
            return
        self.looked_at += len(options)
        self.failures += [
            f"{place}: 'anamnesis {verb}' has no option {option}" for option in options
            if option not in self.options[verb] and f"'{option}' is not understood" not in block]

    def check_lone_options(self, place, options):
        if self.unknown_verbs:
            self.passed_over += len(options)
            return
        self.looked_at += len(options)
        known = set(FOREIGN).union(*self.options.values())
        self.failures += [f"{place}: no verb has an option {option}" for option in options if option not in known]

    def check_block(self, block):
        text, place = "\n".join(block.lines), f"{block.file}:{block.line}"
        for verb, options in find_commands(text):
            if verb in self.options or verb in self.unknown_verbs:
                self.check_command(place, verb, options, text)
            elif re.search(rf"^(\$ )?anamnesis {verb}\b", text, re.M) and f"'{verb}' is not understood" not in text:
                self.failures.append(f"{place}: there is no verb '{verb}'")

    def check_prose(self, name, text):
        prose = re.sub(r"^```.*?^```$", lambda fence: re.sub(r"[^\n]", " ", fence[0]), text, flags=re.S | re.M)
        for span in re.finditer(r"`([^`]+)`", prose):
            place = f"{name}:{prose.count(chr(10), 0, span.start()) + 1}"
            verb, options = span[1].removeprefix("anamnesis ").split()[0], OPTION.findall(span[1])
            if verb in self.options or verb in self.unknown_verbs:
                self.check_command(place, verb, options)
            elif verb.startswith("--"):
                self.check_lone_options(place, options)


def main(program, *files):
    checker = Checker(program)
    for name in files or documents():
        text = read_document(name)
        for block in find_blocks(name, text):
            checker.check_block(block)
        checker.check_prose(name, text)
    print(f"{checker.looked_at} options looked up in the --help of {len(checker.options)} verbs")
    if checker.passed_over:
        print(f"passed over: {checker.passed_over} options, for the verbs that this build has not: {', '.join(checker.unknown_verbs)}")
    if checker.looked_at == 0:
        checker.failures.append("no page names an option")
    if checker.failures:
        sys.exit("\n".join(checker.failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
