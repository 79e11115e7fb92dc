#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what the documentation shows: every fenced block whose first line begins with "$ ".

  check_documented_runs.py PROGRAM FILE.md…

The commands of a block run one after the other in an empty folder; what they print, standard error
included, must be what the block says. A line "…" stands for any lines, a "…" at the end of a line for the
rest of it, and times ("0.02 s") may differ. A block after the comment "<!-- not run: WHY -->" is left out.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def find_runs(text):
    """(line, block) of each block to run."""
    for found in re.finditer(r"(<!-- not run: [^>]+ -->\n)?^```\w*\n(\$ .*?)^```$", text, re.S | re.M):
        if not found.group(1):
            yield text.count("\n", 0, found.start(2)) + 1, found.group(2).rstrip("\n").split("\n")


def split_commands(block):
    """[(command, expected lines)]"""
    commands = []
    for line in block:
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands


def matches(expected, printed):
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*"
        else:
            escaped = re.sub(r"\d+\\\.\d+\\ s\b", r"\\d+\\.\\d+\\ s", re.escape(line.removesuffix("…")))
            pattern += escaped + (r"[^\n]*" if line.endswith("…") else "") + r"\n"
    return re.fullmatch(pattern, printed) is not None


def check(program, file):
    failures, count = [], 0
    for line, block in find_runs(pathlib.Path(file).read_text(encoding="utf-8")):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{pathlib.Path(program).parent}:{os.environ['PATH']}"
            for command, expected in split_commands(block):
                count += 1
                run = subprocess.run(
                    ["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path},
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                printed = run.stdout.decode()
                if not matches(expected, printed):
                    failures.append(f"{file}:{line}: '{command}' prints\n{printed}instead of\n" + "\n".join(expected))
    if count == 0:
        failures.append(f"{file} shows no run")
    return failures


failures = [failure for file in sys.argv[2:] for failure in check(sys.argv[1], file)]
if failures:
    sys.exit("\n\n".join(failures))
