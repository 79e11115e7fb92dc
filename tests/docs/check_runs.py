#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what the documentation shows: the fenced blocks named `console`, whose commands begin with "$ ".

  check_runs.py PROGRAM [FILE.md…]     without files: README.md, docs/ and examples/

The commands of a page run in one shell, in an empty folder that has a copy of what they name of testdata/ and
tools/. What a command prints, standard error included, must be what the page says. A line "…" stands for any
lines, a "…" in a line for any part of it, and times ("0.02 s") may differ.

A comment before a block says what is needed: "<!-- run with LibTorch -->" where a model runs; "<!-- not run: WHY -->"
where a reader's own files, a server, a network or hours are needed. Every block that calls the program is one or
the other. At the top of a page, "<!-- not run on this page: WHY -->" holds for all its blocks.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from documents import ROOT, documents, find_blocks, has_torch, names_command, read_document, read_verbs

END = "\x1e"


def split_commands(lines):
    """[[command, expected lines]]; a command that ends with a backslash goes on in the next line."""
    commands = []
    for line in lines:
        if line.startswith("$ "):
            commands.append([line[2:], []])
        elif commands and commands[-1][0].endswith("\\") and not commands[-1][1]:
            commands[-1][0] += "\n" + line
        elif commands:
            commands[-1][1].append(line)
        else:
            raise ValueError(f"a run begins with '$ ', not with '{line}'")
    return commands


def matches(expected, printed):
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*"
        else:
            escaped = re.sub(r"\d+\\\.\d+\\ s\b", r"\\d+\\.\\d+\\ s", re.escape(line))
            pattern += escaped.replace("…", r"[^\n]*") + r"\n"
    return re.fullmatch(pattern, printed) is not None


def copy_inputs(commands, folder):
    for path in set(re.findall(r"(?<![\w/])(?:testdata|tools)/[\w./-]+", "\n".join(commands))):
        source, target = ROOT / path, pathlib.Path(folder) / path
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def run_commands(program, commands):
    """What each prints, in one shell, so that folder, variables and $? go from one to the next."""
    script = "".join(f"(exit ${{code:-0}})\n{command}\ncode=$?; printf '\\036'\n" for command in commands)
    with tempfile.TemporaryDirectory() as folder:
        copy_inputs(commands, folder)
        path = f"{pathlib.Path(program).resolve().parent}:{os.environ['PATH']}"
        run = subprocess.run(
            ["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run.stdout.decode().split(END)[:-1]


def find_reason(block, page_mark, with_torch):
    """Why a block is passed over; none where it runs."""
    for mark in (block.mark, page_mark):
        if mark.startswith("not run"):
            return mark.partition(": ")[2]
    return "LibTorch is not in this build" if block.mark == "run with LibTorch" and not with_torch else None


def check_page(program, name, verbs, passed_over):
    """(commands that ran, failures)"""
    text = read_document(name)
    page = re.search(r"^<!-- (not run on this page: [^>]+?) -->$", text, re.M)
    runs, failures = [], []
    for block in find_blocks(name, text):
        calls = any(names_command(line, verbs) for line in block.lines)
        if block.info != "console" and not calls:
            continue
        reason = find_reason(block, page[1] if page else "", has_torch(program))
        if reason:
            passed_over[reason].append(f"{name}:{block.line}")
        elif block.info != "console":
            failures.append(f"{name}:{block.line}: calls the program, and is neither a console block nor marked 'not run: WHY'")
        else:
            runs += [(block.line, *command) for command in split_commands(block.lines)]
    printed = run_commands(program, [command for _, command, _ in runs])
    for (line, command, expected), output in zip(runs, printed):
        if not matches(expected, output):
            failures.append(f"{name}:{line}: '{command}' prints\n{output}instead of\n" + "\n".join(expected))
    if len(printed) < len(runs):
        failures.append(f"{name}:{runs[len(printed)][0]}: '{runs[len(printed)][1]}' ends the shell")
    return len(runs), failures


def main(program, *files):
    verbs = read_verbs(program)
    passed_over = collections.defaultdict(list)
    count, failures = 0, []
    for name in files or documents():
        ran, failed = check_page(program, name, verbs, passed_over)
        count += ran
        failures += failed
        if ran:
            print(f"{name}: {ran} commands ran")
    for reason, places in sorted(passed_over.items()):
        print(f"passed over: {reason}: {', '.join(places)}")
    print(f"{count} commands ran; {sum(map(len, passed_over.values()))} blocks were passed over")
    if count == 0:
        failures.append("no page shows a run")
    if failures:
        sys.exit("\n\n".join(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
