# SPDX-License-Identifier: Apache-2.0
"""The fenced blocks of Markdown files, and the commands in them."""
import pathlib
import re
import subprocess
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]

BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^>]+?) -->\n)?```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.S | re.M)


@dataclass
class Block:
    file: str  # as in the repository
    line: int  # of its first line
    mark: str  # the comment before it: "not run: needs a server"
    info: str  # what follows the opening fence
    lines: list


def documents():
    """README, docs/ and examples/, as tracked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "README.md", "docs/*.md", "examples/*.md"],
        cwd=ROOT, check=True, capture_output=True)
    return [name for name in listed.stdout.decode().split("\0") if name]


def read_document(name):
    return (ROOT / name).read_text(encoding="utf-8")


def find_blocks(name, text):
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(name, line, found["mark"] or "", found["info"], found["text"].rstrip("\n").split("\n"))


def has_torch(program):
    """Whether verbs that run a model are in the build."""
    return (pathlib.Path(program).resolve().parent / "anamnesis-torch").exists()


def read_help(program, *verb):
    """None for a verb that is in the program with LibTorch alone, where that is not in the build."""
    run = subprocess.run([program, *verb, "--help"], capture_output=True, text=True)
    if run.returncode != 0 and "needs anamnesis-torch" in run.stderr and not has_torch(program):
        return None
    run.check_returncode()
    return run.stdout


def read_verbs(program):
    """The verbs that the program's --help lists."""
    groups = read_help(program).split("\n\n")[1:]
    return [found for group in groups for found in re.findall(r"^  ([a-z]+) ", group, re.M)]


def names_command(line, verbs):
    """Whether a line calls the program."""
    found = re.search(r"(?<![\w.-])anamnesis +([a-z]+)\b", line)
    return found is not None and found[1] in verbs
