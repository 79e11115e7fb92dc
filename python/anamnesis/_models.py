# SPDX-License-Identifier: Apache-2.0
"""Runs verbs that need the program with LibTorch, as a process of their own."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _command
from .errors import InternalError, make_error

_progress_line = re.compile(r"(?P<phase>.*): (?P<done>\d+) of (?P<total>\d+) (?P<unit>samples|tokens|steps)\b")
_error_line = re.compile(r"anamnesis: (?P<kind>[a-z ]+): (?P<message>.*)", re.S)


def make_words(options: Mapping[str, Any]) -> list[str]:
    """Options as the command takes them: `cache_dtype="bf16"` is `--cache-dtype bf16`, True a flag, a
    list one after the other; None, False and empty ones are left out."""
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            words += [word for element in value for word in (option, str(element))]
        elif value is not None and value is not False and value != "":
            words += [option, os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)]
    return words


def run_verb(words: Sequence[str], progress: Callable[[str, int, int, str], object] | None) -> None:
    """Runs `anamnesis WORDS` to its end. Its lines on standard error go to `progress` and to the logger
    `anamnesis`; its failure is raised as the exception of its kind. Ctrl-C, and what `progress` raises,
    stops it as Ctrl-C stops the command."""
    child = subprocess.Popen(
        [_command.program(), *words],
        env=_command.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Ctrl-C of a terminal reaches this process alone, which passes it on.
        start_new_session=True,
    )
    failure: list[str] = []
    try:
        for line in child.stderr:
            line = line.rstrip("\n")
            told = _progress_line.match(line)
            if failure or _error_line.match(line):
                failure.append(line)
            elif told and progress is not None:
                progress(told["phase"], int(told["done"]), int(told["total"]), told["unit"])
            elif not told:
                logging.getLogger("anamnesis").warning(line.removeprefix("warning: "))
    except BaseException:
        child.send_signal(signal.SIGINT)
        raise
    finally:
        child.stderr.close()
        child.wait()
    if child.returncode != 0:
        raise _find_error(failure, child.returncode)


def _find_error(lines: list[str], code: int) -> Exception:
    context = [line.removeprefix("  while ") for line in lines if line.startswith("  while ")]
    found = _error_line.match("\n".join(line for line in lines if not line.startswith("  while ")))
    if found is None:
        return InternalError(f"the program ended with exit code {code} and said nothing", context)
    try:
        return make_error(found["kind"], found["message"], context)
    except KeyError:
        return InternalError(found[0], context)
